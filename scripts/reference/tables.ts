import { errorsOf, exitCodes } from '../../src/cli/exit-codes.ts'
import { errorCodes } from '../../src/lib/errors.ts'
import { code, generatedNotice, table } from './markdown.ts'

const families = { repository: 'repository commands', configured: 'noun and verb' } as const
const retries = { never: 'no', later: 'later', 'after-fix': 'when it is put right' } as const

/** `docs/reference/exit-codes.md`. */
export function renderExitCodesPage(): string {
  const rows = exitCodes.map((exitCode) => [
    code(String(exitCode.code)),
    exitCode.meaning,
    exitCode.families.map((family) => families[family]).join(', '),
    errorsOf(exitCode.code)
      .map((error) => `[${code(error)}](errors.md)`)
      .join(', '),
  ])
  return `${[
    '# Exit codes',
    generatedNotice,
    'Repository commands (`backup`, `restore`, `check` ...) use the exit codes of restic 0.19. Commands of a noun and a verb (`source test`, also ' +
      'written `source:test`) use 2, 4 and 5 as well. With `--json` the last line on standard error is a message of the type `exit_error` with the ' +
      'exit code, what happened, and the code of the error.',
    table([['Code', 'Meaning', 'Used by', 'Errors'], ...rows]),
  ].join('\n\n')}\n`
}

/** `docs/reference/errors.md`. */
export function renderErrorsPage(): string {
  const rows = Object.entries(errorCodes).map(([name, { meaning, retry }]) => [code(name), meaning, retries[retry]])
  return `${[
    '# Errors',
    generatedNotice,
    'Every failure has one of these codes; they do not change from version to version. The last column says whether doing the same again can help.',
    table([['Code', 'What happened', 'Try again?'], ...rows]),
  ].join('\n\n')}\n`
}
