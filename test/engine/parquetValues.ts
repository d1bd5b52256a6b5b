import { type Batch, fixedWidth, isValid } from '../../engine/batch/batch.ts'

/** Every value of a batch as text: types, validity and bytes. */
export function valuesOf({ rows, vectors }: Batch): string[] {
  return vectors.map(vector => {
    const { column, data, offsets } = vector
    const width = fixedWidth(column.type)
    const values = Array.from({ length: rows }, (_, row) => {
      if (!isValid(vector, row)) return '-'
      const [from, to] = offsets ? [offsets[row]!, offsets[row + 1]!] : [row * width, (row + 1) * width]
      return Buffer.from(data.subarray(from, to)).toString('hex')
    })
    return `${column.name} ${JSON.stringify(column.type)} ${vector.nulls} ${values.join(' ')}`
  })
}
