import type { EntryAttributes, EntrySink } from '../../engine/archive/entry-tree.ts'
import { advance, checksumText, INITIAL_REGISTER } from '../../engine/kernels/crc32c.ts'
import { type ByteString, textToByteString } from '../../engine/repository/tree/node.ts'
import { HoldfastError } from '../../lib/errors.ts'
import type { Timestamp } from '../../lib/go-time.ts'
import { once, storeJson } from '../json-file.ts'
import type { Tablespace } from './base-backup.ts'
import { ALLOW_FOLDERS, AUTO_CONF, cutRuleFor, signals, tablespaceFolder } from './data-layout.ts'
import type { IncrementalBase } from './incremental-base.ts'
import { incrementalTarget, type PageSizes } from './incremental-file.ts'
import { RelationPatcher } from './incremental-relations.ts'
import { manifestPath, type PostgresManifest } from './manifest.ts'
import { checkServerManifest, SERVER_MANIFEST, sentManifestPath } from './server-manifest.ts'
import { type ReplacedFile, syntheticManifest } from './synthetic-manifest.ts'
import { readTar, type TarMember } from './tar-reader.ts'

const PRIVATE_FILE_MODE = 0o600
const PRIVATE_FOLDER_MODE = 0o700

export interface WriterOptions {
  readonly source: string
  readonly blockBytes: number
  readonly tablespaces: readonly Tablespace[]
  /** Whether the server has the setting for tablespaces in place, without which it refuses them. */
  readonly knowsFolders: boolean
  /** Of the data directory, which no archive names. */
  readonly directoryMode: number
  /** Of what the server does not send: our own files and that directory. */
  readonly time: Timestamp
  /** What the archives build on, when they hold only what changed. */
  readonly base: IncrementalBase | undefined
  readonly pages: PageSizes
}

const NEWLINE = 0x0a
const MAX_AUTO_CONF_BYTES = 1024 * 1024

/** Says where recovery begins; of an incremental backup also what it builds on, and then a server refuses to start with it. */
const BACKUP_LABEL = 'backup_label'
const MAX_LABEL_BYTES = 64 * 1024
/** What a server leaves of the label it was started with when it was restored. */
const USED_LABEL = 'backup_label.old'
const incrementLines = /^INCREMENTAL FROM [^\n]*\n/gm

/**
 * Lays the archives of a base backup out as one data directory. Where the server has a link to a tablespace, the snapshot has a folder with
 * its content (PostgreSQL calls it a tablespace in place). So restored data never lands outside the folder that was asked for, least of all
 * in the tablespaces of the server it comes from, where a link would lead. The manifest knows where the links led, for who wants them back.
 *
 * Of an incremental backup it makes what a full one would have been: files of which pages came are patched, `backup_label` loses the lines that
 * name the earlier backup, and `backup_manifest` is written anew.
 *
 * At the end of recovery the server refuses such folders unless it is told to expect them, so a snapshot with tablespaces has a line about
 * it in `postgresql.auto.conf`: apart from left out signal files the only thing that is not as the server has it.
 */
export class SnapshotWriter {
  readonly #entries: EntrySink
  readonly #options: WriterOptions
  readonly #root: ByteString
  /** Files of the data directory and their sizes. */
  readonly #received = new Map<ByteString, number>()
  readonly #patcher: RelationPatcher | undefined
  /** Files that are not as they were sent, by the path they were sent as. */
  readonly #replaced = new Map<ByteString, ReplacedFile>()
  /** What the server must say of its label, if checksums mean what they are taken for. */
  #labelChecksum: string | undefined
  readonly #spacesToName: Set<ByteString>
  #owner: Pick<EntryAttributes, 'uid' | 'gid'> | undefined
  #isChecked = false

  constructor(entries: EntrySink, options: WriterOptions) {
    this.#entries = entries
    this.#options = options
    this.#root = textToByteString(`/${options.source}/data`)
    this.#spacesToName = new Set(options.tablespaces.map(({ oid }) => tablespaceFolder(oid)))
    this.#patcher = options.base && new RelationPatcher(options.base, options.pages)
  }

  async archive(tablespace: Tablespace | undefined, content: AsyncIterable<Uint8Array>): Promise<void> {
    const folder = tablespace === undefined ? '' : `${tablespaceFolder(tablespace.oid)}/`
    for await (const member of readTar(content)) await this.#member(`${folder}${member.path}`, member)
  }

  /** Stores the server's manifest and compares with it what came. */
  async serverManifest(content: AsyncIterable<Uint8Array>): Promise<void> {
    const manifest = await whole(content)
    const parsed = checkServerManifest(manifest, this.#received)
    this.#isChecked = true
    const attributes = { ...this.#own(), mode: PRIVATE_FILE_MODE }
    const store = async (path: ByteString, input: AsyncIterable<Uint8Array>): Promise<void> =>
      await this.#entries.file(path, attributes, input, { kind: 'content' })
    await store(textToByteString(sentManifestPath(this.#options.source)), once(manifest))
    const own = `${this.#root}/${SERVER_MANIFEST}`
    if (this.#patcher === undefined) return await store(own, once(manifest))
    await this.#patcher.finish()
    // A server of another byte order writes checksums otherwise: then those of patched files are left out.
    const isUnderstood = parsed.files.get(BACKUP_LABEL)?.crc32c === this.#labelChecksum
    const replaced = isUnderstood
      ? this.#replaced
      : new Map([...this.#replaced].map(([path, file]) => [path, { ...file, checksum: () => undefined }]))
    await store(own, inPieces(syntheticManifest(parsed, replaced)))
  }

  /** The last thing written. @throws HoldfastError HF_SOURCE_DAMAGED when the server left its manifest out */
  async finish(manifest: PostgresManifest): Promise<void> {
    if (!this.#isChecked) throw new HoldfastError('HF_SOURCE_DAMAGED', 'the server sent no backup_manifest')
    const folder = { ...this.#own(), mode: PRIVATE_FOLDER_MODE }
    this.#entries.directory(this.#root, { ...folder, mode: this.#options.directoryMode })
    for (const space of this.#spacesToName) this.#entries.directory(`${this.#root}/${space}`, folder)
    await storeJson(this.#entries, manifestPath(this.#options.source), manifest, this.#own())
  }

  async #member(path: ByteString, member: TarMember): Promise<void> {
    if (signals.has(path)) return void this.#received.set(path, member.size)
    const { mode, mtime, uid, gid } = member
    const attributes: EntryAttributes = { mode, mtime, uid, gid }
    this.#owner ??= { uid, gid }
    const place = `${this.#root}/${path}`
    if (this.#spacesToName.delete(path)) {
      this.#entries.directory(
        place,
        member.type === 'directory' ? attributes : { ...attributes, mode: PRIVATE_FOLDER_MODE },
      )
    } else if (member.type === 'directory') this.#entries.directory(place, attributes)
    else if (member.type === 'symlink') this.#entries.symlink(place, member.linkTarget, attributes)
    else if (!(await this.#isReplaced(place, path, member, attributes))) {
      const content = this.#needsLine(path, member) ? withLine(member.content) : member.content
      await this.#entries.file(place, attributes, content, cutRuleFor(path, this.#options.blockBytes))
      this.#received.set(path, member.size)
    }
  }

  /** Stores a file otherwise than it was sent, if need be. */
  async #isReplaced(
    place: ByteString,
    path: ByteString,
    { size, content }: TarMember,
    attributes: EntryAttributes,
  ): Promise<boolean> {
    if (this.#patcher === undefined) return false
    if (path === BACKUP_LABEL) {
      if (size > MAX_LABEL_BYTES) throw new HoldfastError('HF_SOURCE_DAMAGED', `the server's ${path} has ${size} bytes`)
      const sent = await whole(content)
      const label = Buffer.from(sent.toString('latin1').replace(incrementLines, ''), 'latin1')
      this.#labelChecksum = checksumText(~advance(INITIAL_REGISTER, sent) >>> 0)
      const checksum = ~advance(INITIAL_REGISTER, label) >>> 0
      this.#replaced.set(path, { path, size: label.length, checksum: () => checksum })
      await this.#entries.file(place, attributes, once(label), { kind: 'content' })
    } else if (path === USED_LABEL && size <= MAX_LABEL_BYTES) {
      const label = await whole(content)
      await this.#options.base!.requireSame(path, label)
      await this.#entries.file(place, attributes, once(label), { kind: 'content' })
    } else {
      const target = incrementalTarget(path)
      if (target === undefined) return false
      const patched = `${this.#root}/${target}`
      const file = await this.#patcher.patch(this.#entries, patched, attributes, { path: target, size, content })
      this.#replaced.set(path, { path: target, ...file })
    }
    this.#received.set(path, size)
    return true
  }

  #needsLine(path: ByteString, { size }: TarMember): boolean {
    const { tablespaces, knowsFolders } = this.#options
    return path === AUTO_CONF && size <= MAX_AUTO_CONF_BYTES && knowsFolders && tablespaces.length > 0
  }

  /** Attributes of what the server does not send. */
  #own(): Omit<EntryAttributes, 'mode'> {
    return { mtime: this.#options.time, ...(this.#owner ?? { uid: 0, gid: 0 }) }
  }
}

async function* withLine(content: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const text = await whole(content)
  yield text
  if (!text.includes(ALLOW_FOLDERS)) yield Buffer.from(`${text.at(-1) === NEWLINE ? '' : '\n'}${ALLOW_FOLDERS}\n`)
}

async function whole(content: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const pieces: Uint8Array[] = []
  // Copied: pieces are only valid until the next one is asked for.
  for await (const piece of content) pieces.push(Buffer.from(piece))
  return Buffer.concat(pieces)
}

async function* inPieces(pieces: Iterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  yield* pieces
}
