import { spawnSync } from 'node:child_process'
import { resticVersion } from './restic-trees.ts'
import { PASSWORD } from './test-repository.ts'

/** A restic program on one repository with the password of these tests. */
export class ResticProgram {
  readonly program: string
  readonly repository: string

  constructor(program: string, repository: string) {
    this.program = program
    this.repository = repository
  }

  /** Runs a command and returns what it printed; throws when it fails. */
  run(...args: readonly string[]): string {
    const { status, stdout, stderr, error } = spawnSync(
      this.program,
      ['-r', this.repository, '--no-cache', '--quiet', ...args],
      {
        env: { ...process.env, RESTIC_PASSWORD: PASSWORD },
        encoding: 'utf8',
        maxBuffer: 1 << 28,
      },
    )
    if (error) throw error
    if (status !== 0) throw new Error(`${this.program} ${args.join(' ')} exits with ${status}:\n${stdout}\n${stderr}`)
    return stdout
  }

  /** Fails unless it finds the repository whole, every byte read. */
  expectContent(): void {
    this.run('check', '--read-data')
  }

  /** Whether it is at least version 0.`minor`. */
  isSince(minor: number): boolean {
    return Number(resticVersion(this.program).split('.')[1]) >= minor
  }
}
