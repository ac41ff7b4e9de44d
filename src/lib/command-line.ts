import { HoldfastError } from './errors.ts'
import { isSpace } from './white-space.ts'

/**
 * Splits a command into its words as restic does, so that one command serves both: words end at white space, at a backslash and at a quote;
 * text in single or double quotes is one word, in which a backslash before a quote is kept and makes the quote part of the word.
 * @throws HoldfastError HF_USAGE for an open quote and for no word at all
 */
export function splitCommandLine(text: string): readonly [string, ...string[]] {
  const words: string[] = []
  let word = ''
  let quote = ''
  let before = ''
  const endWord = (): void => {
    if (word !== '') words.push(word)
    word = ''
  }
  for (const character of text) {
    const marksQuote = before !== '\\' && (quote === '' ? character === '"' || character === "'" : character === quote)
    if (marksQuote) {
      quote = quote === '' ? character : ''
      endWord()
      continue
    }
    before = character
    if (quote === '' && (character === '\\' || isSpace(character))) endWord()
    else word += character
  }
  endWord()
  if (quote !== '') throw new HoldfastError('HF_USAGE', `the command has a quote (${quote}) that is not closed`)
  const [program, ...args] = words
  if (program === undefined) throw new HoldfastError('HF_USAGE', 'the command is empty')
  return [program, ...args]
}
