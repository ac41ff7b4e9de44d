import type { ByteString } from '../../../engine/repository/tree/node.ts'
import { quoted } from './names.ts'

/** Which objects have another schema now: the new one, or undefined for those that stay where they are. Names are not quoted. */
export type SchemaOf = (schema: ByteString, name: ByteString) => ByteString | undefined

/**
 * Words of a statement of `pg_dump`: comments, texts in single quotes and between dollars, names in double quotes, names without, single
 * letters. `pg_dump` writes each name with its schema.
 */
const WORD =
  /--[^\n]*|\/\*[\s\S]*?\*\/|[eE]'(?:[^'\\]|''|\\[\s\S])*'|'(?:[^']|'')*'|\$([A-Za-z_\x80-\xff][\w\x80-\xff]*)?\$[\s\S]*?\$\1\$|"(?:[^"]|"")*"|[A-Za-z_\x80-\xff][\w$\x80-\xff]*|[\s\S]/g
const NAME = /^(?:"(?:[^"]|"")*"|[A-Za-z_\x80-\xff][\w$\x80-\xff]*)$/
const QUALIFIED_TEXT =
  /^'((?:"(?:[^"']|"")*"|[a-z_\x80-\xff][\w$\x80-\xff]*)\.(?:"(?:[^"']|"")*"|[a-z_\x80-\xff][\w$\x80-\xff]*))'$/

/**
 * A statement with other schemas before the names of objects that have moved. What stands between dollars, as bodies of functions, is left
 * as it is; texts are looked into when they are a name and nothing else, as in `nextval('public.counter'::regclass)`.
 */
export function moveNames(statement: ByteString, schemaOf: SchemaOf): ByteString {
  const words = statement.match(WORD) ?? []
  for (let i = 0; i < words.length; i++) {
    const word = words[i]!
    const inText = QUALIFIED_TEXT.exec(word)
    if (inText !== null) words[i] = `'${moveNames(inText[1]!, schemaOf)}'`
    if (!NAME.test(word) || words[i + 1] !== '.' || words[i - 1] === '.') continue
    const name = words[i + 2]
    if (name === undefined || !NAME.test(name)) continue
    const schema = schemaOf(plainName(word), plainName(name))
    if (schema !== undefined) words[i] = quoted(schema)
  }
  return words.join('')
}

const plainName = (word: ByteString): ByteString =>
  word.startsWith('"') ? word.slice(1, -1).replaceAll('""', '"') : word

/**
 * A statement about a database, as one about another. Whatever name it has is taken for that of the database: names that all databases share
 * are misread in one whose encoding is not that in which they were given.
 */
export function renameDatabase(statement: ByteString, to: ByteString): ByteString {
  const words = statement.match(WORD) ?? []
  for (let i = 0; i + 2 < words.length; i++)
    if (words[i] === 'DATABASE' && words[i + 1] === ' ' && NAME.test(words[i + 2]!)) words[i + 2] = quoted(to)
  return words.join('')
}
