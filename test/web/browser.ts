import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { type Browser, chromium, type Page } from 'playwright-core'
import { ensureProgram } from '../debian.ts'
import type { Hooks } from '../servers.ts'

const CHROMIUM = '/usr/bin/chromium'
const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')
type Look = readonly ['light' | 'dark', number]
export const PHONE: Look = ['light', 390]
export const LOOKS: readonly Look[] = [['light', 1180], ['dark', 1180], PHONE]

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

/** A page of each of these looks, one after the other. */
export async function inEachLook(
  browser: Browser,
  looks: readonly Look[],
  act: (view: Page, look: { name: string; width: number }) => Promise<void>,
): Promise<void> {
  for (const [colorScheme, width] of looks) {
    // Its own context: axe is put in beside the policy that keeps scripts out.
    const context = await browser.newContext({
      colorScheme,
      viewport: { width, height: 900 },
      bypassCSP: true,
    })
    await act(await context.newPage(), { name: `${colorScheme}-${width}`, width })
    await context.close()
  }
}

/** The page that is shown has nothing serious for axe, and is no wider than the window. */
export async function looksWell(view: Page, what: string): Promise<void> {
  await view.addScriptTag({ content: AXE })
  const found = await view.evaluate(async () => {
    const axe = (globalThis as unknown as { axe: { run(): Promise<{ violations: Finding[] }> } }).axe
    interface Finding {
      id: string
      impact: string
      nodes: { html: string }[]
    }
    return (await axe.run()).violations.map(({ id, impact, nodes }) => ({
      id,
      impact,
      html: nodes[0]!.html,
    }))
  })
  const serious = found.filter(({ impact }) => impact === 'serious' || impact === 'critical')
  assert.deepEqual(serious, [], what)
  await fits(view, what)
}

export async function fits(view: Page, what: string): Promise<void> {
  const tooWide = await view.evaluate('document.documentElement.scrollWidth - innerWidth')
  assert.ok((tooWide as number) <= 0, `${what} is ${tooWide} pixels too wide`)
}
