import { readlinkSync } from 'node:fs'
import type { FileAttributes } from '../../engine/posix/attributes.ts'
import { readAttributes } from '../../engine/posix/extended-attributes.ts'
import { rootOf } from '../../engine/repository/snapshot.ts'
import { permissionBits } from '../../engine/repository/tree/mode.ts'
import { type ByteString, byteStringToText, type Node } from '../../engine/repository/tree/node.ts'
import { equalBytes } from '../../lib/bytes.ts'
import type { ProofCheck, ProofJob } from '../proof.ts'
import { Findings } from './findings.ts'
import type { SecretNames } from './secret-names.ts'
import { walkBeside } from './walk-beside.ts'

export interface RestoredComparison {
  readonly secrets: SecretNames
  /** Without root, owners, set-id bits and devices are not what they were. */
  readonly isRoot: boolean
}

const SET_ID = 0o6000

/** Compares everything but the content of restored files with what the snapshot says of them, and reports checks of level `data`. */
export async function compareRestored(job: ProofJob, target: string, options: RestoredComparison): Promise<void> {
  const { repository, snapshot, signal } = job
  const comparison = new AttributeComparison(target, options)
  await walkBeside(repository, rootOf(snapshot), target, {
    isOfInterest: () => true,
    onBoth: (path, node, found) => comparison.compare(path, node, found),
    onMissing: (path, node) => comparison.miss(path, node),
    onExtra: (path) => comparison.entries.add(byteStringToText(path), 'is not in the snapshot'),
    onUnreadable: (path, error) =>
      comparison.entries.add(byteStringToText(path), `cannot be looked at: ${codeOf(error)}`),
    signal,
  })
  for (const check of comparison.checks()) job.report({ level: 'data', ...check })
}

class AttributeComparison {
  readonly entries: Findings
  readonly #target: ByteString
  readonly #isRoot: boolean
  readonly #sizes: Findings
  readonly #modes: Findings
  readonly #owners: Findings
  readonly #times: Findings
  readonly #links: Findings
  readonly #attributes: Findings
  /** The restored file of the first name of each file with several, by device and inode of then. */
  readonly #firstNames = new Map<string, string>()
  #items = 0
  #symlinks = 0
  #withAttributes = 0

  constructor(target: string, { secrets, isRoot }: RestoredComparison) {
    this.#target = Buffer.from(target).toString('latin1')
    this.#isRoot = isRoot
    this.entries = new Findings(secrets)
    this.#sizes = new Findings(secrets)
    this.#modes = new Findings(secrets)
    this.#owners = new Findings(secrets)
    this.#times = new Findings(secrets)
    this.#links = new Findings(secrets)
    this.#attributes = new Findings(secrets)
  }

  miss(path: ByteString, { type }: Node): void {
    const isLeftOut = type === 'socket' || (!this.#isRoot && (type === 'dev' || type === 'chardev'))
    if (!isLeftOut) this.entries.add(byteStringToText(path), 'is missing')
  }

  compare(path: ByteString, node: Node, found: FileAttributes): void {
    const text = byteStringToText(path)
    this.#items++
    if (found.type !== node.type) {
      this.entries.add(text, `is a ${found.type} instead of a ${node.type}`)
      return
    }
    if (node.type === 'file' && BigInt(found.size) !== BigInt(node.size))
      this.#sizes.add(text, `has ${found.size} bytes instead of ${node.size}`)
    if (node.type === 'symlink') this.#compareTarget(path, node)
    else this.#compareMode(text, node, found)
    const { seconds, nanoseconds } = found.mtime
    if (seconds !== node.mtime.seconds || nanoseconds !== node.mtime.nanoseconds)
      this.#times.add(text, 'was modified at another time')
    if (found.uid !== node.uid || found.gid !== node.gid)
      this.#owners.add(text, `belongs to ${found.uid}:${found.gid} instead of ${node.uid}:${node.gid}`)
    this.#compareNames(text, node, found)
    if (node.extendedAttributes.length > 0) this.#compareAttributes(path, node)
  }

  checks(): readonly Omit<ProofCheck, 'level'>[] {
    const items = `${this.#items} items`
    return [
      this.entries.check('entries', items),
      this.#sizes.check('sizes'),
      this.#modes.check('permissions'),
      this.#times.check('times of modification'),
      this.#isRoot
        ? this.#owners.check('owners')
        : { name: 'owners', outcome: 'not applicable', detail: 'only root can give files to their owners' },
      this.#links.check('links', `${this.#symlinks} symbolic links, ${this.#firstNames.size} files of several names`),
      this.#withAttributes === 0
        ? { name: 'extended attributes', outcome: 'not applicable', detail: 'the snapshot has none' }
        : this.#attributes.check('extended attributes', `of ${this.#withAttributes} items`),
    ]
  }

  #compareTarget(path: ByteString, node: Node): void {
    this.#symlinks++
    const target = readlinkSync(this.#place(path), { encoding: 'buffer' }).toString('latin1')
    if (target !== node.linkTarget) this.#links.add(byteStringToText(path), 'leads elsewhere')
  }

  #compareMode(text: string, node: Node, found: FileAttributes): void {
    const mask = this.#isRoot ? 0o7777 : 0o7777 & ~SET_ID
    const [was, is] = [permissionBits(node.mode) & mask, found.mode & mask]
    if (was !== is) this.#modes.add(text, `has permissions ${is.toString(8)} instead of ${was.toString(8)}`)
  }

  /** Names of one file must be names of one file again. */
  #compareNames(text: string, node: Node, found: FileAttributes): void {
    if (node.type !== 'file' || Number(node.links) < 2) return
    const file = `${node.deviceId}:${node.inode}`
    const now = `${found.device}:${found.inode}`
    const first = this.#firstNames.get(file)
    if (first === undefined) this.#firstNames.set(file, now)
    else if (first !== now) this.#links.add(text, 'is a file of its own now')
  }

  #compareAttributes(path: ByteString, node: Node): void {
    this.#withAttributes++
    const found = new Map(readAttributes(this.#place(path)).map(({ name, value }) => [name, value]))
    for (const { name, value } of node.extendedAttributes) {
      if (!this.#isRoot && !name.startsWith('user.')) continue
      const now = found.get(name)
      if (now === undefined || !equalBytes(now, value ?? new Uint8Array()))
        this.#attributes.add(byteStringToText(path), `has another ${byteStringToText(name)}`)
    }
  }

  #place = (path: ByteString): Buffer => Buffer.from(this.#target + path, 'latin1')
}

const codeOf = (error: Error): string => (error as NodeJS.ErrnoException).code ?? error.message
