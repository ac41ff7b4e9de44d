import { displayWidth } from './width.ts'

export interface Table {
  readonly headers: readonly string[]
  /** Cells of each row; a cell may have several lines. */
  readonly rows: readonly (readonly string[])[]
  readonly footer?: readonly string[]
  /** An empty line between rows, for rows of several lines. */
  readonly spaced?: boolean
}

const SEPARATOR = '  '

/** The table as restic prints it: columns as wide as their widest cell, a rule under the header and after the last row. Ends with a line feed. */
export function renderTable(table: Table): string {
  const widths = table.headers.map((header, column) =>
    Math.max(
      ...[header, ...table.rows.map((row) => row[column] ?? '')].flatMap((cell) => cell.split('\n').map(displayWidth)),
    ),
  )
  const rule = '-'.repeat(widths.reduce((sum, width) => sum + width, 0) + SEPARATOR.length * (widths.length - 1))
  const rows = table.rows.map((row) => renderRow(row, widths))
  return [
    ...renderRow(table.headers, widths),
    rule,
    ...rows.flatMap((lines, index) => (table.spaced === true && index > 0 ? ['', ...lines] : lines)),
    rule,
    ...(table.footer ?? []),
    '',
  ].join('\n')
}

function renderRow(cells: readonly string[], widths: readonly number[]): string[] {
  const columns = widths.map((_, column) => (cells[column] ?? '').split('\n'))
  const height = Math.max(...columns.map((lines) => lines.length))
  return Array.from({ length: height }, (_, line) =>
    columns
      .map((lines, column) => {
        const text = lines[line] ?? ''
        return text + ' '.repeat(widths[column]! - displayWidth(text))
      })
      .join(SEPARATOR)
      .replace(/ +$/, ''),
  )
}
