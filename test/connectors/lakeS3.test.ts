// The same tests with the lakes on S3.
process.env.LAKE = 's3'
await import('./lake.test.ts')
await import('./lakeFiles.test.ts')
await import('./lakeSource.test.ts')
await import('./lakeCrash.test.ts')
await import('./lakeRewrite.test.ts')
