/** As Go's unicode.IsSpace has it; JavaScript's trim also takes U+FEFF and leaves U+0085. */
const SPACES =
  '\t\n\v\f\r \u0085\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000'

const aroundText = new RegExp(`^[${SPACES}]+|[${SPACES}]+$`, 'g')

/** The same in UTF-8, where each takes up to three bytes. */
const inBytes = [...SPACES].map((space) => Buffer.from(space).toString('latin1')).join('|')
const firstInBytes = new RegExp(`^(?:${inBytes})`)
const lastInBytes = new RegExp(`(?:${inBytes})$`)
const LONGEST_BYTES = 3

export const isSpace = (character: string): boolean => [...character].some((one) => SPACES.includes(one))

export const trimSpace = (text: string): string => text.replace(aroundText, '')

/** `text`, a byte string, without white space at its ends, and how many bytes were cut off at the front. */
export function trimSpaceBytes(text: string): { readonly text: string; readonly cut: number } {
  let start = 0
  let end = text.length
  for (;;) {
    const space = firstInBytes.exec(text.slice(start, start + LONGEST_BYTES))
    if (space === null) break
    start += space[0].length
  }
  for (;;) {
    const space = lastInBytes.exec(text.slice(Math.max(start, end - LONGEST_BYTES), end))
    if (space === null) break
    end -= space[0].length
  }
  return { text: text.slice(start, end), cut: start }
}
