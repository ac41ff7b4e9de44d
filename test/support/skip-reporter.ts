import { relative } from 'node:path'
import type { Reporter, TestModule } from 'vitest/node'
import { missingRequirements } from './requirements.ts'
import { failedMakings } from './tool-making.ts'

/** Names and counts the tests that were skipped, and what this machine would need to run them. */
export default class SkipReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]): void {
    const report = describeSkips(
      modules.map((module) => ({
        file: relative(process.cwd(), module.moduleId),
        skipped: Array.from(module.children.allTests('skipped'), (test) => test.fullName),
      })),
      missingRequirements().map(({ what, debianPackage }) =>
        debianPackage ? `${what} (package ${debianPackage})` : what,
      ),
      failedMakings(),
    )
    if (report !== '') process.stdout.write(report)
  }
}

interface SkippedOfFile {
  readonly file: string
  readonly skipped: readonly string[]
}

/** The text of the report; empty when nothing was skipped. */
export function describeSkips(
  files: readonly SkippedOfFile[],
  missing: readonly string[],
  failed: readonly { readonly name: string; readonly failure: string }[] = [],
): string {
  const count = files.reduce((sum, { skipped }) => sum + skipped.length, 0)
  if (count === 0) return ''
  const names = files.flatMap(({ file, skipped }) => skipped.map((name) => `  ${file} > ${name}\n`))
  const needs = missing.length > 0 ? `Not on this machine: ${missing.join(', ')}\n` : ''
  const failures = failed.map(({ name, failure }) => `Could not be made: ${name}: ${failure}\n`).join('')
  return `\n${count} ${count === 1 ? 'test was' : 'tests were'} skipped:\n${names.join('')}${needs}${failures}`
}
