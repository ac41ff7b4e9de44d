import { chmodSync, lstatSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Assertion } from '../../config/assertion.ts'
import { freeBytes } from '../../engine/posix/free-space.ts'
import { rootOf } from '../../engine/repository/snapshot.ts'
import type { Node } from '../../engine/repository/tree/node.ts'
import {
  executeRestore,
  planRestore,
  type RestorePlan,
  RestoreThreads,
  verifyRestore,
} from '../../engine/restore/index.ts'
import { throwIfInterrupted } from '../../engine/storage/interruption.ts'
import { isHoldfastError, systemErrorCode } from '../../lib/errors.ts'
import { formatSize } from '../../lib/sizes.ts'
import type { AssertionAnswer, ProofCheck, ProofJob, ProofSandbox } from '../proof.ts'
import type { SandboxFolder } from '../sandbox/sandbox-folder.ts'
import type { FileSourceIdentity } from './backup.ts'
import { compareRestored } from './compare-restored.ts'
import { answerAboutFile } from './file-answer.ts'
import { Findings } from './findings.ts'
import type { SecretNames } from './secret-names.ts'
import { walkSnapshot } from './snapshot-walk.ts'
import { findFilesManifest } from './stored-manifest.ts'
import { secretsOf } from './structure.ts'

/** Whether this process may make devices, give files away and read whatever it has written. */
const isRoot = (): boolean => process.geteuid?.() === 0

/** Restores a snapshot of files into a sandbox. Without root devices are left out, and said so. */
export async function openFileSandbox(
  job: ProofJob,
  identity: FileSourceIdentity,
  folder: SandboxFolder,
): Promise<ProofSandbox | undefined> {
  const { repository, snapshot, signal } = job
  const report = (check: Omit<ProofCheck, 'level'>): void => job.report({ level: 'restore', ...check })
  const secrets = secretsOf(identity, await findFilesManifest(repository, snapshot, identity.name, signal))
  const devices = isRoot() ? [] : await devicesOf(job)
  if (devices.length > 0)
    report({
      name: 'devices',
      outcome: 'not applicable',
      detail: `only root can make devices, and ${devices.length} were left out`,
    })
  const target = join(folder.path, 'restored')
  const left = new Set(devices)
  const plan = await planRestore(repository, rootOf(snapshot), {
    target,
    ...(left.size === 0
      ? {}
      : { selector: (path, isDirectory) => ({ selected: !left.has(path), descend: isDirectory }) }),
    signal,
  })
  const free = freeBytes(folder.path)
  if (free !== undefined && free < plan.totals.bytes) {
    const needed = `${formatSize(plan.totals.bytes)} are needed in ${folder.path}, and ${formatSize(free)} are free`
    report({
      name: 'files restored',
      outcome: 'skipped',
      detail: `${needed}; HOLDFAST_SANDBOX_DIR names another place`,
    })
    return undefined
  }
  const sandbox = new FileSandbox(job, target, plan, secrets)
  try {
    report(await sandbox.restore())
    return sandbox
  } catch (error) {
    await sandbox[Symbol.asyncDispose]()
    if (!isHoldfastError(error, 'HF_RESTORE_FAILED')) throw error
    report({ name: 'files restored', outcome: 'skipped', detail: error.message })
    return undefined
  }
}

async function devicesOf({ repository, snapshot, signal }: ProofJob): Promise<string[]> {
  const devices: string[] = []
  const isDevice = ({ type }: Node): boolean => type === 'dev' || type === 'chardev'
  for await (const { path, node } of walkSnapshot(repository, rootOf(snapshot), {
    onUnreadable: () => undefined,
    signal,
  }))
    if (isDevice(node)) devices.push(path)
  return devices
}

/** Files of a snapshot in a folder that goes with the proof. */
class FileSandbox implements ProofSandbox {
  readonly facts: Readonly<Record<string, string>>
  readonly #job: ProofJob
  readonly #target: string
  readonly #plan: RestorePlan
  readonly #secrets: SecretNames
  #failed: ReadonlySet<number> = new Set()

  constructor(job: ProofJob, target: string, plan: RestorePlan, secrets: SecretNames) {
    this.#job = job
    this.#target = target
    this.#plan = plan
    this.#secrets = secrets
    this.facts = { system: `${process.platform} ${process.arch}`, user: isRoot() ? 'root' : 'not root' }
  }

  async restore(): Promise<Omit<ProofCheck, 'level'>> {
    const { repository, signal } = this.#job
    const findings = new Findings(this.#secrets)
    const { progress, failed } = await executeRestore(repository, this.#plan, {
      observer: { onError: (item, error) => findings.add(item, this.#reason(item, error)) },
      signal,
    })
    this.#failed = failed
    return findings.check('files restored', `${progress.files} files and folders, ${formatSize(progress.bytes)}`)
  }

  async compare(): Promise<void> {
    await this.#compareContent()
    await compareRestored(this.#job, this.#target, { secrets: this.#secrets, isRoot: isRoot() })
  }

  async answer(assertion: Assertion): Promise<AssertionAnswer> {
    return await answerAboutFile(assertion, this.#target, this.#secrets)
  }

  /** Folders that nobody may enter could not be removed. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (!isRoot()) openFolders(Buffer.from(this.#target))
  }

  async #compareContent(): Promise<void> {
    const { repository, signal, report } = this.#job
    const findings = new Findings(this.#secrets)
    let unreadable = 0
    await using threads = new RestoreThreads()
    const { files } = await verifyRestore(
      repository,
      this.#plan,
      {
        except: this.#failed,
        onError: (item, error) => {
          // Without root, a file that nobody may read says nothing about the snapshot.
          if (!isRoot() && systemErrorCode(error.cause) === 'EACCES') unreadable++
          else findings.add(item, this.#reason(item, error))
        },
        signal,
      },
      threads,
    )
    throwIfInterrupted(signal)
    report({ level: 'data', ...findings.check('content', `${files} files read back`) })
    if (unreadable > 0)
      report({
        level: 'data',
        name: 'content of files that their owner may not read',
        outcome: 'skipped',
        detail: `${unreadable} files; run the verification as root`,
      })
  }

  readonly #reason = (item: string, error: Error): string => this.#secrets.conceal(item, error).message
}

function openFolders(folder: Buffer): void {
  if (!lstatSync(folder, { throwIfNoEntry: false })?.isDirectory()) return
  chmodSync(folder, 0o700)
  for (const name of readdirSync(folder, { encoding: 'buffer' }))
    openFolders(Buffer.concat([folder, Buffer.from('/'), name]))
}
