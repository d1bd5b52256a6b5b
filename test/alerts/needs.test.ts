// biome-ignore-all lint/suspicious/noTemplateCurlyInString: references of job.yaml, not of this file
import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { EngineError } from '../../engine/errors.ts'
import { neededVariables } from '../../src/alerts/needs.ts'
import { remedy } from '../../src/alerts/remedy.ts'

const root = mkdtempSync(join(tmpdir(), 'nightfreight-needs-'))
after(() => rmSync(root, { recursive: true }))
const folder = join(root, 'job')
mkdirSync(folder)

const needs = (job: string, env: Record<string, string> = {}, files: Record<string, string> = {}) => {
  const all: Record<string, string> = { 'job/job.yaml': job, 'connections.yaml': '', '.env': '', ...files }
  for (const [file, text] of Object.entries(all)) writeFileSync(join(root, file), text)
  return neededVariables({ folder, env })
}

test('variables that a job refers to: those that are set, and those that must be', () => {
  const job = 'connections: { a: "${A}", b: "${B:-x}", c: "${C:-${D}}", e: "$${E}", f: "${file:/f}" }\n# ${G}'
  assert.deepEqual(needs(job), ['A', 'D'])
  assert.deepEqual(needs(job, { A: '1', B: '2', C: '3', E: '5', G: '7', OTHER: '8' }), ['A', 'B', 'C', 'D'])
})

test('what files beside the job give is not needed, unless the environment says otherwise', () => {
  const job = 'connections: { a: "${A}", b: "${B}" }'
  assert.deepEqual(needs(job, { B: '2' }, { '.env': 'A=1\nB=2\n' }), [])
  assert.deepEqual(needs(job, { B: '3' }, { '.env': 'A=1\nB=2\n' }), ['B'])
  const prod = { '.env': 'A=1\nB=2\n', '.env.prod': 'A=9\n' }
  assert.deepEqual(needs(job, { NIGHTFREIGHT_ENV: 'prod' }, prod), [])
  const shared = { 'connections.yaml': 'connections: { s: "${S}", t: "${T}" }' }
  assert.deepEqual(needs('job: j', { S: '1' }, shared), ['S'], 'connections of others may lack theirs')
})

test('what SDKs and drivers read, where the job has something of their kind', () => {
  const env = {
    PGPASSWORD: 'p',
    AWS_PROFILE: 'a',
    VAULT_ADDR: 'v',
    HTTPS_PROXY: 'h',
    SSH_AUTH_SOCK: 's',
    W: '',
  }
  assert.deepEqual(needs('connections: { w: "duckdb:w" }', env), [])
  assert.deepEqual(needs('connections: { w: "postgres://x/y" }', env), ['PGPASSWORD'])
  assert.deepEqual(needs('connections: { w: "${W}" }', { ...env, W: 's3://b' }), [
    'AWS_PROFILE',
    'HTTPS_PROXY',
    'W',
  ])
  assert.deepEqual(needs('x: "${vault:a#b}"', env), ['VAULT_ADDR'])
  assert.deepEqual(needs('x: sftp://h', { ...env, METADATA_URL: 'm', STAGING_URL: 's3://b' }), [
    'AWS_PROFILE',
    'HTTPS_PROXY',
    'METADATA_URL',
    'SSH_AUTH_SOCK',
    'STAGING_URL',
  ])
})

test('a command is typed for the environment that the run was of', () => {
  const place = { folder: '/jobs/j', home: "/it's home", env: { NIGHTFREIGHT_ENV: 'prod' } }
  assert.equal(
    remedy(place, new EngineError('QUALITY_GATE', 'no')),
    `NIGHTFREIGHT_HOME='/it'\\''s home' NIGHTFREIGHT_ENV=prod nightfreight run /jobs/j`,
  )
})
