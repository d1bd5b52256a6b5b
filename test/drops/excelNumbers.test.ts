import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { numberText } from '../../src/formats/excel/number.ts'

const plain = (written: string) => numberText(written, 'number', false)

test('a number has no power of ten, but where that makes many digits', () => {
  for (const [written, expected] of [
    ['6.25E-2', '0.0625'],
    ['1E-3', '0.001'],
    ['-1.5E3', '-1500'],
    ['1.25e+1', '12.5'],
    ['2.5000000000000001E-2', '0.025'],
    ['1E100', '1E100'],
    ['1E-99', '1E-99'],
    ['12345678901234567890', '12345678901234567890'],
  ] as const)
    assert.equal(plain(written), expected, written)
})

test('whatever the power, it is the same number', () => {
  fc.assert(
    fc.property(fc.integer(), fc.nat(99999), fc.integer({ min: -30, max: 30 }), (whole, fraction, power) => {
      const written = `${whole}.${fraction}E${power}`
      assert.equal(Number(plain(written)), Number(written))
    }),
  )
})
