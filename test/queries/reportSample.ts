import type { ReportData } from '../../src/report/data.ts'

/** A night of the members job as a report shows it: some rejects, some warnings, every section filled. */
export const sample: ReportData = {
  job: 'member_data_warehouse_sync',
  run: '2025-12-02T0200-7f3a',
  status: 'succeeded',
  startedAt: '2025-12-02T02:00:00.000Z',
  finishedAt: '2025-12-02T02:01:43.400Z',
  interval: { from: '2025-12-01T02:00:00Z', to: '2025-12-02T02:00:00Z' },
  extracts: [
    {
      name: 'members',
      from: 'legacy',
      rows: 21_380,
      parts: 3,
      since: '2025-11-30 23:53:30.123456+00',
      note: 'read lock not allowed: tables may differ by moments',
    },
    { name: 'contacts', from: 'crm', rows: 9_044, parts: 2, since: '2025-11-30 23:50:11+00' },
    { name: 'payments', from: 'payment_api', rows: 40_113, parts: 9, since: '2025-11-30 23:54:59.812+00' },
    { name: 'corrections', from: 'drops', rows: 3_251, parts: 1 },
  ],
  models: [
    { name: 'members_clean', rows: 1_000_312, rejected: 13_771, warned: 41_020 },
    { name: 'payments_facts', rows: 1_979_604, rejected: 17, warned: 0 },
    { name: 'members_enriched', rows: 986_541, rejected: 0, warned: 0 },
  ],
  checks: [
    {
      name: 'fee_negative',
      model: 'members_clean',
      level: 'reject',
      rows: 1_002,
      samples: [
        {
          reason: 'monthly fee is -19.90',
          record: '{"member_id":4711,"first_name":"Zoë","last_name":"O\'Brien <b>","monthly_fee":-19.90}',
        },
      ],
    },
    {
      name: 'email_broken',
      model: 'members_clean',
      level: 'reject',
      rows: 769,
      samples: [
        {
          reason: 'e-mail is not valid: jane@@example.com, and there is no usable phone',
          record:
            '{"member_id":1203,"first_name":"Jane","email_given":"jane@@example.com","phone_given":null}',
        },
        {
          reason: 'e-mail is not valid: <script>alert(1)</script>, and there is no usable phone',
          record: '{"member_id":1290,"email_given":"<script>alert(1)</script>"}',
        },
      ],
    },
    {
      name: 'email_repaired',
      model: 'members_clean',
      level: 'warn',
      rows: 27_013,
      samples: [
        { reason: 'e-mail was JOE@EXAMPLE.ORG', record: '{"member_id":2,"email_given":"JOE@EXAMPLE.ORG"}' },
      ],
    },
    { name: 'status_unknown', model: 'members_clean', level: 'pass', rows: 0, samples: [] },
    {
      name: 'payments_have_members',
      level: 'warn',
      rows: 1,
      samples: [{ reason: '12 payments are of unknown members', record: '' }],
    },
    { name: 'members_present', level: 'pass', rows: 0, samples: [] },
  ],
  loads: [
    {
      table: 'dim_members',
      to: 'warehouse',
      staged: 38_412,
      inserted: 1_204,
      updated: 36_988,
      deleted: 0,
      unchanged: 220,
    },
    {
      table: 'fact_payments',
      to: 'warehouse',
      staged: 40_113,
      inserted: 38_870,
      updated: 1_243,
      deleted: 0,
      unchanged: 0,
    },
  ],
  verifications: [
    {
      table: 'dim_members',
      to: 'warehouse',
      scope: 'changes',
      rows: 38_192,
      ranges: 64,
      equal: 38_190,
      newer: 1,
      leftAlone: 0,
      wrong: { rows: 1, ranges: 1 },
      differing: [{ range: 'member_id 7001 to 7596', rows: 1, samples: ['member_id = 7113 differs'] }],
      notes: ['column created_at is not compared: the load leaves it alone when a row changes'],
    },
    {
      table: 'fact_payments',
      to: 'warehouse',
      scope: 'all',
      rows: 40_113,
      ranges: 64,
      equal: 40_113,
      newer: 0,
      leftAlone: 0,
      wrong: { rows: 0, ranges: 0 },
      differing: [],
      notes: [],
    },
  ],
  errorRate: 0.00463,
  maxErrorRate: 0.05,
  qualityScore: 0.9816,
  minQualityScore: 0.95,
  sla: [
    { name: 'Run time', target: 'at most 6 h', actual: '1 min 43 s', kept: true },
    { name: 'Age of the data', target: 'at most 24 h', actual: '25 h 10 min', kept: false },
  ],
  profile: [
    {
      model: 'members_enriched',
      columns: [
        { name: 'member_id', type: 'BIGINT', nullShare: 0, distinct: 986_541, min: '1001', max: '4506277' },
        {
          name: 'email',
          type: 'VARCHAR',
          nullShare: 0.0288,
          distinct: 957_001,
          min: 'aaliyah.diaz@example.com',
          max: 'zoë.weiß@post.example.org',
        },
        {
          name: 'phone_e164',
          type: 'VARCHAR',
          nullShare: 0.0611,
          distinct: 911_404,
          min: '+12122003000',
          max: '+919999999999',
        },
        {
          name: 'lifetime_value',
          type: 'DECIMAL(14,2)',
          nullShare: 0,
          distinct: 211_730,
          min: '-20110.40',
          max: '61220.15',
        },
      ],
    },
  ],
  tasks: [
    { name: 'plan', startMs: 0, endMs: 640 },
    { name: 'extract.members', startMs: 640, endMs: 21_400 },
    { name: 'extract.contacts', startMs: 650, endMs: 12_020 },
    { name: 'extract.payments', startMs: 660, endMs: 48_900 },
    { name: 'model.members_clean', startMs: 48_950, endMs: 70_100 },
    { name: 'load.dim_members', startMs: 70_150, endMs: 99_800 },
    { name: 'commit', startMs: 99_800, endMs: 103_100 },
  ],
}
