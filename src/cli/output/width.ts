// East Asian wide and fullwidth characters and the emoji blocks, by first and last code point (Unicode's EastAsianWidth, merged).
const wide: readonly (readonly [number, number])[] = [
  [0x1100, 0x115f],
  [0x2e80, 0x303e],
  [0x3041, 0x33ff],
  [0x3400, 0x4dbf],
  [0x4e00, 0xa4cf],
  [0xa960, 0xa97f],
  [0xac00, 0xd7a3],
  [0xf900, 0xfaff],
  [0xfe10, 0xfe19],
  [0xfe30, 0xfe6f],
  [0xff01, 0xff60],
  [0xffe0, 0xffe6],
  [0x1f300, 0x1f64f],
  [0x1f680, 0x1f6ff],
  [0x1f900, 0x1f9ff],
  [0x20000, 0x3fffd],
]

/** How many terminal cells `text` takes. */
export function displayWidth(text: string): number {
  let cells = 0
  for (const character of text) cells += cellsOf(character)
  return cells
}

/** The longest beginning of `text` that fits into `cells` terminal cells. */
export function truncate(text: string, cells: number): string {
  let left = cells
  let length = 0
  for (const character of text) {
    left -= cellsOf(character)
    if (left < 0) return text.slice(0, length)
    length += character.length
  }
  return text
}

function cellsOf(character: string): number {
  const code = character.codePointAt(0)!
  if (code < 0x1100) return 1
  return wide.some(([first, last]) => code >= first && code <= last) ? 2 : 1
}

const unprintable = /[\p{Cc}\p{Cf}\p{Co}\p{Cs}\p{Zl}\p{Zp}\uFFFD]|(?! )\p{Zs}/u

/** `text` as it is when a terminal can show it, else quoted: file names may hold line feeds and escape sequences. */
export function quoteUnprintable(text: string): string {
  if (!unprintable.test(text)) return text
  return JSON.stringify(text).replace(
    new RegExp(unprintable, 'gu'),
    (character) => `\\u${character.codePointAt(0)!.toString(16).padStart(4, '0')}`,
  )
}
