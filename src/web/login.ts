import { html } from '../report/markup.ts'
import type { Page } from './context.ts'

export interface LoginChoices {
  /** A path of ours, where it leads. */
  to: string
  /** Whether anybody has a password. */
  hasPasswords: boolean
  /** An OpenID provider that people log in by. */
  provider: string | undefined
  /** Whether somebody has just logged out. */
  hasLeft: boolean
}

/** Where it is asked who somebody is. */
export const loginPage = ({ to, hasPasswords, provider, hasLeft }: LoginChoices): Page => ({
  title: 'Log in',
  main: html`<div class="login"><h1>Log in</h1>${
    hasLeft
      ? html`<p class="soft">You have logged out here.${
          provider ? html` <a href="/logout/provider">Log out of ${provider}, too</a>` : undefined
        }</p>`
      : undefined
  }${
    provider
      ? html`<p><a class="buttonlike" href="/login/provider?${new URLSearchParams({ to }).toString()}">Log in by ${provider}</a></p>`
      : undefined
  }${
    hasPasswords || !provider
      ? html`<form class="form" method="post" action="/login">
<input type="hidden" name="to" value="${to}">
<label>Name<input name="name" autocomplete="username" required${provider ? undefined : AUTOFOCUS}></label>
<label>Password<input name="password" type="password" autocomplete="current-password" required></label>
<button>Log in</button></form>`
      : undefined
  }</div>`,
})

const AUTOFOCUS = html` autofocus`

/** What is said where nobody has said who may look. */
export const unsetPage: Page = {
  title: 'Not set up',
  main: html`<h1>Who may look at this?</h1>
<p>Nightfreight is served beyond this machine, and nobody has said to whom. Say so on the machine that serves it, in one of these ways:</p>
<ul><li><code>nightfreight users add ada --role operator</code>: a name and a password</li>
<li><code>NIGHTFREIGHT_OPERATOR_TOKEN</code>, <code>NIGHTFREIGHT_VIEWER_TOKEN</code>: sent as <code>Authorization: Bearer …</code></li>
<li><code>nightfreight serve … --user-header x-forwarded-user --trusted-proxy 10.0.0.5</code>: a proxy that knows who it is</li>
<li><code>nightfreight serve … --oidc https://login.example</code>: an OpenID provider that people log in by</li></ul>`,
}

/** Characters of a path to lead to: a browser keeps it while somebody logs in. */
const MAX_PATH = 2000

/** A path of ours to lead to; anything else leads to the first page. */
export const ownPath = (to: string | undefined): string =>
  to !== undefined && to.length <= MAX_PATH && /^\/(?![/\\])[^\r\n]*$/.test(to) ? to : '/'
