import type { ProofJob, ProofSandbox, SourceComparison, SourceProof } from '../proof.ts'
import type { SandboxFolder } from '../sandbox/sandbox-folder.ts'
import type { FileSourceIdentity } from './backup.ts'
import { compareWithLive, type LiveSelection } from './compare-live.ts'
import { openFileSandbox } from './file-sandbox.ts'
import { checkFileStructure } from './structure.ts'

/** How snapshots of files are proved, and compared with the files there are now. */
export const fileProof = (identity: FileSourceIdentity, openSelection: () => LiveSelection): SourceProof => ({
  checkStructure: (job: ProofJob): Promise<void> => checkFileStructure(job, identity),
  openSandbox: (job: ProofJob, folder: SandboxFolder): Promise<ProofSandbox | undefined> =>
    openFileSandbox(job, identity, folder),
  compareWithSource: (job): Promise<SourceComparison> => compareWithLive(job, identity, openSelection),
})
