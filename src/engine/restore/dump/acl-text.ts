import { asBuffer } from '../../../lib/bytes.ts'

const VERSION = 2
const ENTRY_BYTES = 8

/** Prefixes by the tag of an entry (linux/posix_acl_xattr.h), and whether the id that follows counts. */
const tags: ReadonlyMap<number, { readonly name: string; readonly hasId: boolean }> = new Map([
  [0x01, { name: 'user:', hasId: false }],
  [0x02, { name: 'user:', hasId: true }],
  [0x04, { name: 'group:', hasId: false }],
  [0x08, { name: 'group:', hasId: true }],
  [0x10, { name: 'mask:', hasId: false }],
  [0x20, { name: 'other:', hasId: false }],
])

/**
 * The text form (POSIX.1e, long) of an ACL as Linux keeps it in an extended attribute; users and groups by number, because the archive may
 * be unpacked where the names mean others. undefined when the value is no ACL.
 */
export function aclText(value: Uint8Array): string | undefined {
  const bytes = asBuffer(value)
  if (bytes.length < 4 || (bytes.length - 4) % ENTRY_BYTES !== 0 || bytes.readUInt32LE(0) !== VERSION) return undefined
  let text = ''
  for (let at = 4; at < bytes.length; at += ENTRY_BYTES) {
    const tag = tags.get(bytes.readUInt16LE(at))
    if (tag === undefined) return undefined
    const permissions = bytes.readUInt16LE(at + 2)
    const id = tag.hasId ? bytes.readUInt32LE(at + 4) : ''
    const letters = [...'rwx'].map((letter, i) => ((permissions & (4 >> i)) !== 0 ? letter : '-')).join('')
    text += `${tag.name}${id}:${letters}\n`
  }
  return text
}
