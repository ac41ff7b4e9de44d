// Go's unicode.IsSpace; JavaScript's trim also takes U+FEFF and leaves U+0085.
const SPACE = '[\\t\\n\\v\\f\\r \\u0085\\u00a0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000]'
const aroundText = new RegExp(`^${SPACE}+|${SPACE}+$`, 'g')
const isSpacePattern = new RegExp(SPACE)

export const isSpace = (character: string): boolean => isSpacePattern.test(character)

export const trimSpace = (text: string): string => text.replace(aroundText, '')
