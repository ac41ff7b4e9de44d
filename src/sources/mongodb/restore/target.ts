import { formatSize } from '../../../lib/sizes.ts'
import type { SourceProblem } from '../../source.ts'
import { numberOf } from '../bson/typed.ts'
import { type CollectionEntry, readCatalog } from '../catalog.ts'
import { MongoConnection } from '../connection.ts'
import type { MongoEndpoint } from '../endpoint.ts'
import type { MongoManifest } from '../manifest.ts'
import { type MemberFacts, productName, readMember, versionNumbers } from '../member.ts'
import { namespaceText } from '../names.ts'
import { Code, codeOf } from '../server-error.ts'
import type { MongoTls } from '../settings.ts'
import { type KnownAccounts, readAccounts } from './users.ts'

export interface TargetOptions {
  readonly url: MongoEndpoint
  readonly password: string | undefined
  readonly tls: MongoTls | undefined
  readonly jobs: number
  readonly signal: AbortSignal | undefined
}

/** @throws HoldfastError as MongoConnection.open */
export async function openTarget({ url: endpoint, ...options }: TargetOptions): Promise<MongoConnection> {
  return await MongoConnection.open({ endpoint, ...options, purpose: 'restore' })
}

/** A server that is restored into, as it is now. */
export interface TargetState {
  readonly facts: MemberFacts
  /** Those of its collections that would be written to, with how many documents they have. */
  readonly present: ReadonlyMap<string, { readonly entry: CollectionEntry; readonly documents: number }>
  readonly accounts: KnownAccounts | undefined
  readonly freeBytes: number | undefined
}

/** @throws HoldfastError */
export async function readTarget(
  connection: MongoConnection,
  wanted: ReadonlySet<string>,
  signal: AbortSignal | undefined,
): Promise<TargetState> {
  const facts = await readMember(connection, signal)
  const catalog = await readCatalog(connection, { isIncluded: (one) => wanted.has(namespaceText(one)) }, signal)
  const present = new Map<string, { entry: CollectionEntry; documents: number }>()
  for (const entry of catalog) present.set(namespaceText(entry), { entry, documents: await countOf(connection, entry) })
  return { facts, present, accounts: await readAccounts(connection), freeBytes: await readFree(connection) }
}

async function countOf(connection: MongoConnection, { database, collection, type }: CollectionEntry): Promise<number> {
  if (type === 'view') return 0
  try {
    const { n } = await connection.command(database, { count: collection, limit: 1 })
    return numberOf(n) ?? 0
  } catch (error) {
    // Who may restore need not be one who may read: it may have some.
    if (codeOf(error) === Code.unauthorized) return 1
    throw error
  }
}

async function readFree(connection: MongoConnection): Promise<number | undefined> {
  try {
    const { fsTotalSize, fsUsedSize } = await connection.command('admin', { dbStats: 1 })
    const [total, used] = [numberOf(fsTotalSize), numberOf(fsUsedSize)]
    return total === undefined || used === undefined || total === 0 ? undefined : total - used
  } catch (error) {
    if (codeOf(error) === undefined) throw error
    return undefined
  }
}

/** What of a server speaks against restoring a snapshot into it. */
export function* targetProblems(
  { facts, freeBytes }: TargetState,
  manifest: MongoManifest,
  bytes: number,
): Generator<SourceProblem> {
  if (facts.topology === 'replica set' && facts.role !== 'primary')
    yield {
      severity: 'error',
      what: `the target is a ${facts.role}, which takes no writes`,
      remedy: `name the primary${facts.primary === undefined ? '' : `: ${facts.primary}`}`,
    }
  const [from] = versionNumbers(manifest.server.version)
  const [to] = versionNumbers(facts.version)
  if (facts.product === undefined && to < from)
    yield {
      severity: 'error',
      what: `the snapshot is of MongoDB ${manifest.server.version}, and the target is ${productName(facts)}: older servers do not understand all of it`,
      remedy: `restore into MongoDB ${from} or newer`,
    }
  if (facts.product === undefined && to > from + 1)
    yield {
      severity: 'warning',
      what: `the snapshot is of MongoDB ${manifest.server.version}, more than one major version before the target (${facts.version})`,
      remedy: undefined,
    }
  if (facts.product !== undefined)
    yield {
      severity: 'warning',
      what: `the target is ${productName(facts)}, which does not know all that MongoDB does: what is different afterwards is reported`,
      remedy: undefined,
    }
  if (freeBytes !== undefined && freeBytes < bytes)
    yield {
      severity: 'warning',
      what: `the documents are ${formatSize(bytes)}, and the target has ${formatSize(freeBytes)} of disk: it fits only if it compresses well`,
      remedy: 'make room first',
    }
}
