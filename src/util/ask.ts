import { HttpClient } from './httpClient.ts'

export interface Question {
  /** Default: GET. */
  method?: 'POST' | 'PUT'
  headers?: Record<string, string>
  body?: string
  signal: AbortSignal
}

export interface Answer {
  ok: boolean
  status: number
  /** Its beginning: what there is to say to people. */
  text: string
}

/** Characters of an answer that are kept. */
const MAX_TEXT = 200

/**
 * One request to a URL that somebody has named, by the machine's proxy and authorities; user and password in it are basic
 * authentication. What is sent goes to nobody else: only a GET follows where it is led. Throws where no answer comes, with a message that quotes no part of the URL but
 * its host.
 */
export async function ask(url: string | URL, { headers, ...question }: Question): Promise<Answer> {
  const bare = new URL(url)
  const { username, password } = bare
  const user = Buffer.from(`${decodeURIComponent(username)}:${decodeURIComponent(password)}`)
  bare.username = ''
  bare.password = ''
  const client = new HttpClient({})
  try {
    const response = await client.fetch(bare, {
      ...question,
      headers: {
        ...(username !== '' && { authorization: `Basic ${user.toString('base64')}` }),
        ...headers,
      },
      redirect: question.method === undefined ? 'follow' : 'manual',
    })
    return { ok: response.ok, status: response.status, text: (await response.text()).slice(0, MAX_TEXT) }
  } catch (cause) {
    const { message, cause: inner } = cause as Error
    throw new Error(inner instanceof Error && inner.message ? `${message}: ${inner.message}` : message, {
      cause,
    })
  } finally {
    await client.close()
  }
}
