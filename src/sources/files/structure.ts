import { isWithin } from '../../engine/archive/filter/clean-path.ts'
import { absolutePath } from '../../engine/archive/filter/index.ts'
import type { Repository } from '../../engine/repository/repository.ts'
import { rootOf } from '../../engine/repository/snapshot.ts'
import {
  type ByteString,
  byteStringToText,
  isPlainName,
  type Node,
  textToByteString,
} from '../../engine/repository/tree/node.ts'
import { throwIfInterrupted } from '../../engine/storage/interruption.ts'
import { isHoldfastError } from '../../lib/errors.ts'
import { formatSize } from '../../lib/sizes.ts'
import type { ProofCheck, ProofJob } from '../proof.ts'
import type { FileSourceIdentity } from './backup.ts'
import { Findings } from './findings.ts'
import { type FilesManifest, MANIFEST_FOLDER } from './manifest.ts'
import { type SecretNames, secretNames } from './secret-names.ts'
import { walkSnapshot } from './snapshot-walk.ts'
import { loadFilesManifest } from './stored-manifest.ts'

type Check = Omit<ProofCheck, 'level'>

/**
 * Proves the structure of a snapshot of files: what its manifest says is there, every list of a folder can be read, every name is one, the
 * blobs of every file are known and come to its size, and nothing was lost since the backup counted.
 */
export async function checkFileStructure(job: ProofJob, identity: FileSourceIdentity): Promise<void> {
  const { repository, snapshot, signal } = job
  const report = (check: Check): void => job.report({ level: 'structure', ...check })
  const manifest = await checkManifest(job, identity, report)
  const secrets = secretsOf(identity, manifest)
  const folders = new Findings(secrets)
  const content = new Findings(secrets)
  const strangers = new Findings(secrets)
  const roots = (manifest?.paths ?? []).map(cleanPath)
  const absent = new Set(manifest?.missing.map(cleanPath))
  const awaited = new Set(roots.filter((root) => !absent.has(root)))
  const counts = { folders: 0, files: 0, bytes: 0 }
  const entries = walkSnapshot(repository, rootOf(snapshot), {
    onUnreadable: (path, error) => folders.add(byteStringToText(path), `cannot be listed: ${error.message}`),
    signal,
  })
  for await (const { path, node } of entries) {
    const text = byteStringToText(path)
    if (!isPlainName(node.name)) folders.add(text, 'has a name that leads elsewhere')
    awaited.delete(path)
    if (!roots.some((root) => isWithin(root, path) || isWithin(path, root)) && !isOurs(path))
      strangers.add(text, 'is not below the paths of the manifest')
    if (node.type === 'dir') {
      counts.folders++
      if (node.subtree === undefined) folders.add(text, 'has no list of what is in it')
    } else if (node.type === 'file') {
      counts.files++
      counts.bytes += Number(node.size)
      const wrong = problemOfContent(repository, node)
      if (wrong !== undefined) content.add(text, wrong)
    } else if (node.type === 'unknown') folders.add(text, 'is of a kind that is not known')
  }
  report(folders.check('folders and names', `${counts.folders} folders`))
  report(content.check('blobs of every file', `${counts.files} files, ${formatSize(counts.bytes)}`))
  if (manifest !== undefined) {
    for (const path of awaited) strangers.add(byteStringToText(path), 'is missing')
    report(strangers.check('paths of the manifest', `${roots.length - absent.size} of ${roots.length} were there`))
  }
  report(checkCounts(job, counts))
}

/** What is not to be named, now or when the snapshot was made. */
export const secretsOf = ({ secrets }: FileSourceIdentity, manifest: FilesManifest | undefined): SecretNames =>
  manifest === undefined || manifest.secrets.length === 0
    ? secrets
    : secretNames([...new Set([...secrets.patterns, ...manifest.secrets])])

async function checkManifest(
  { repository, snapshot, signal }: ProofJob,
  { name, type }: FileSourceIdentity,
  report: (check: Check) => void,
): Promise<FilesManifest | undefined> {
  try {
    const manifest = await loadFilesManifest(repository, snapshot, name, signal)
    if (manifest.type === type) report({ name: 'manifest', outcome: 'passed' })
    else report({ name: 'manifest', outcome: 'failed', detail: `it is of a source of type ${manifest.type}` })
    return manifest
  } catch (error) {
    throwIfInterrupted(signal)
    if (!isHoldfastError(error)) throw error
    report({ name: 'manifest', outcome: 'failed', detail: error.message })
    return undefined
  }
}

function problemOfContent({ index }: Repository, { content, size }: Node): string | undefined {
  if (content === null) return 'has no list of blobs'
  let bytes = 0
  for (const id of content) {
    const length = index.plaintextLength('data', id)
    if (length === undefined) return 'has a blob that is not in the repository'
    bytes += length
  }
  return bytes === Number(size) ? undefined : `has ${size} bytes, and its blobs have ${bytes}`
}

/** Compares with what the backup counted when it was made: a tree that was exchanged since would show. */
function checkCounts(
  { snapshot }: ProofJob,
  { files, bytes }: { readonly files: number; readonly bytes: number },
): Check {
  const name = 'counts of the backup'
  const { summary } = snapshot
  if (summary === undefined)
    return { name, outcome: 'not applicable', detail: 'the snapshot does not say what was counted' }
  const { totalFilesProcessed, totalBytesProcessed } = summary
  if (files === totalFilesProcessed && bytes === totalBytesProcessed) return { name, outcome: 'passed' }
  return {
    name,
    outcome: 'failed',
    detail: `${totalFilesProcessed} files of ${totalBytesProcessed} bytes were backed up, and ${files} of ${bytes} are there`,
  }
}

const cleanPath = (path: string): ByteString => absolutePath(textToByteString(path))

const isOurs = (path: ByteString): boolean => isWithin(`/${MANIFEST_FOLDER}`, path)
