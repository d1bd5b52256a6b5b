import { html } from '../report/markup.ts'
import type { Page } from './context.ts'

/** Where a name and a password are asked for. `to`: where it leads. */
export const loginPage = (to: string): Page => ({
  title: 'Log in',
  main: html`<form class="form login" method="post" action="/login"><h1>Log in</h1>
<input type="hidden" name="to" value="${to}">
<label>Name<input name="name" autocomplete="username" required autofocus></label>
<label>Password<input name="password" type="password" autocomplete="current-password" required></label>
<button>Log in</button></form>`,
})

/** What is said where nobody has said who may look. */
export const unsetPage: Page = {
  title: 'Not set up',
  main: html`<h1>Who may look at this?</h1>
<p>Nightfreight is served beyond this machine, and nobody has said to whom. Say so on the machine that serves it, in one of these ways:</p>
<ul><li><code>nightfreight users add ada --role operator</code>: a name and a password</li>
<li><code>NIGHTFREIGHT_OPERATOR_TOKEN</code>, <code>NIGHTFREIGHT_VIEWER_TOKEN</code>: sent as <code>Authorization: Bearer …</code></li>
<li><code>nightfreight serve … --user-header x-forwarded-user --trusted-proxy 10.0.0.5</code>: a proxy that knows who it is</li></ul>`,
}

/** A path of ours to lead to; anything else leads to the first page. */
export const ownPath = (to: string | undefined): string =>
  to !== undefined && /^\/(?![/\\])[^\r\n]*$/.test(to) ? to : '/'
