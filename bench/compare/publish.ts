import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** Prints the report of a benchmark. With a name it is also kept, as `bench/results/DATE-NAME.md` for people and `.json` with every run. */
export function publish(result: { readonly date: string }, text: string, name: string | undefined): void {
  console.log(text)
  if (name === undefined) return
  const folder = join(import.meta.dirname, '../results')
  mkdirSync(folder, { recursive: true })
  const path = join(folder, `${result.date.slice(0, 10)}-${name}`)
  writeFileSync(`${path}.json`, `${JSON.stringify(result, null, 1)}\n`)
  writeFileSync(`${path}.md`, text)
  console.log(`Saved as ${path}.json and .md`)
}
