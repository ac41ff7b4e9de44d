import { asBuffer } from '../../../lib/bytes.ts'
import { permissionBits } from '../../repository/tree/mode.ts'
import { type ByteString, byteStringToText, type Node, textToByteString } from '../../repository/tree/node.ts'
import { aclText } from './acl-text.ts'
import { checkEntry, type DumpEntry, type DumpOptions, entryContent } from './dump-entry.ts'
import { createOutput } from './output.ts'
import { encodeTarHeader, TAR_BLOCK_BYTES, type TarHeader } from './tar-header.ts'

/**
 * Writes a tar archive: names as bytes, exact times, owners by number and name, extended attributes (`SCHILY.xattr`) and ACLs
 * (`SCHILY.acl`), symbolic links, devices, fifos. Each name of a file with several is an entry with its content, as restic writes it.
 *
 * @throws HF_TREE_INVALID for a path no archive may hold; HF_DATA_DAMAGED when content has not the size it should; what `entries` and
 * `write` throw.
 */
export async function writeTar({ entries, write, warn }: DumpOptions): Promise<void> {
  const output = createOutput(write)
  for await (const entry of entries) {
    checkEntry(entry)
    const type = typeFlags[entry.node.type]
    const device = deviceNumbers(entry.node)
    if (type === undefined || Math.max(device.major, device.minor) > LARGEST_DEVICE_NUMBER) {
      warn(`${byteStringToText(entry.path)}: tar has no form for this ${entry.node.type}, left out`)
      continue
    }
    await output.write(encodeTarHeader(headerOf(entry, type, device, warn)))
    if (type !== '0') continue
    for await (const chunk of entryContent(entry)) await output.write(chunk)
    await output.write(zeros.subarray(0, -output.position & (TAR_BLOCK_BYTES - 1)))
  }
  await output.write(zeros)
  await output.flush()
}

/** Two empty blocks end an archive. */
const zeros = new Uint8Array(2 * TAR_BLOCK_BYTES)

const typeFlags: Partial<Record<Node['type'], TarHeader['type']>> = {
  file: '0',
  symlink: '2',
  chardev: '3',
  dev: '4',
  dir: '5',
  fifo: '6',
}

function headerOf(
  { path, node }: DumpEntry,
  type: TarHeader['type'],
  device: DeviceNumbers,
  warn: (message: string) => void,
): TarHeader {
  return {
    path: type === '5' ? `${path}/` : path,
    type,
    mode: permissionBits(node.mode),
    uid: node.uid,
    gid: node.gid,
    user: textToByteString(node.user),
    group: textToByteString(node.group),
    size: type === '0' ? node.size : 0,
    mtime: node.mtime,
    linkTarget: type === '2' ? node.linkTarget : '',
    deviceMajor: device.major,
    deviceMinor: device.minor,
    records: attributeRecords(path, node, warn),
  }
}

interface DeviceNumbers {
  readonly major: number
  readonly minor: number
}

/** What a field of tar holds. Linux knows no device with larger numbers. */
const LARGEST_DEVICE_NUMBER = 0o7777777

/** The numbers that glibc's makedev put together to st_rdev. */
function deviceNumbers({ type, device }: Node): DeviceNumbers {
  if (type !== 'dev' && type !== 'chardev') return { major: 0, minor: 0 }
  const bits = BigInt(device)
  return {
    major: Number(((bits >> 8n) & 0xfffn) | ((bits >> 32n) & 0xffff_f000n)),
    minor: Number((bits & 0xffn) | ((bits >> 12n) & 0xffff_ff00n)),
  }
}

function attributeRecords(path: ByteString, node: Node, warn: (message: string) => void): [ByteString, ByteString][] {
  const records: [ByteString, ByteString][] = []
  for (const { name, value } of node.extendedAttributes) {
    const aclKeyword = aclKeywords.get(name)
    const text = aclKeyword === undefined ? undefined : aclText(value ?? noBytes)
    if (name === '' || name.includes('\0') || (aclKeyword !== undefined && text === undefined))
      warn(`${byteStringToText(path)}: the attribute ${JSON.stringify(byteStringToText(name))} is not valid, left out`)
    else if (aclKeyword !== undefined && text !== undefined) records.push([aclKeyword, text])
    else records.push([`SCHILY.xattr.${escapeKeyword(name)}`, asBuffer(value ?? noBytes).toString('latin1')])
  }
  return records
}

const noBytes = new Uint8Array()

const aclKeywords: ReadonlyMap<ByteString, ByteString> = new Map([
  ['system.posix_acl_access', 'SCHILY.acl.access'],
  ['system.posix_acl_default', 'SCHILY.acl.default'],
])

/** A keyword ends at the first `=`; GNU tar writes that and `%` in this way and reads it so. restic gives up on such a name. */
const escapeKeyword = (name: ByteString): ByteString => name.replaceAll('%', '%25').replaceAll('=', '%3D')
