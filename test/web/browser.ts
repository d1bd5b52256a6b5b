import { type Browser, chromium } from 'playwright-core'
import { ensureProgram } from '../debian.ts'
import type { Hooks } from '../servers.ts'

const CHROMIUM = '/usr/bin/chromium'

/** A real Chromium without a window; the distribution's, installed where allowed. */
export async function openBrowser(hooks: Hooks): Promise<Browser> {
  ensureProgram(CHROMIUM, 'chromium')
  const browser = await chromium.launch({
    executablePath: CHROMIUM,
    // Its sandbox does not work for root.
    args: process.getuid?.() === 0 ? ['--no-sandbox'] : [],
  })
  hooks.after(() => browser.close())
  return browser
}
