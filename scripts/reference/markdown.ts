/** A table; the first row is the head. */
export function table(rows: readonly (readonly string[])[]): string {
  const [head = [], ...body] = rows
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`
  return [line(head), line(head.map(() => '---')), ...body.map(line)].join('\n')
}

export const code = (text: string): string => `\`${text}\``

/** Says that a page is made by a program, and by which. */
export const generatedNotice =
  '<!-- Made from the source by `npm run generate:reference`; changes made here are lost. -->'
