/**
 * `node scripts/generate-reference.ts [--check] [FOLDER]`: writes the pages of docs/reference that are made from the source. With `--check`
 * writes nothing and fails when a page is not what the source says.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { registry } from '../src/cli/registry.ts'
import { renderCliPage } from './reference/cli-page.ts'
import { renderErrorsPage, renderExitCodesPage } from './reference/tables.ts'

const { values, positionals } = parseArgs({
  options: { check: { type: 'boolean', default: false } },
  allowPositionals: true,
})
const folder = positionals[0] ?? join(import.meta.dirname, '..', 'docs', 'reference')

const pages = new Map([
  ['cli.md', await renderCliPage(registry)],
  ['errors.md', renderErrorsPage()],
  ['exit-codes.md', renderExitCodesPage()],
])

let stale = 0
for (const [name, text] of pages) {
  const path = join(folder, name)
  if (!values.check) {
    mkdirSync(folder, { recursive: true })
    writeFileSync(path, text)
  } else if (read(path) !== text) {
    stale++
    console.error(`${path} is not what the source says: run npm run generate:reference`)
  }
}
console.log(`${pages.size} pages, ${values.check ? `${stale} to be made again` : 'written'}`)
process.exitCode = stale > 0 ? 1 : 0

function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return undefined
  }
}
