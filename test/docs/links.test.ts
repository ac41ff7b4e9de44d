import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { expect, test } from 'vitest'
import { projectFiles } from '../../scripts/project-files.ts'

const checkout = join(import.meta.dirname, '../..')

/** Links of a Markdown text that lead to files, without their anchors. */
function localLinks(markdown: string): readonly string[] {
  return [...markdown.replace(/```[\s\S]*?```/g, '').matchAll(/\]\(([^)\s]+)\)/g)]
    .map((match) => match[1]!.replace(/#.*/, ''))
    .filter((link) => link !== '' && !/^[a-z]+:/.test(link))
}

test('every link between documents leads to a file', () => {
  const broken = projectFiles(checkout)
    .filter((path) => path.endsWith('.md') && !path.startsWith('test/golden'))
    .flatMap((path) =>
      localLinks(readFileSync(join(checkout, path), 'utf8'))
        .filter((link) => !existsSync(join(checkout, dirname(path), link)))
        .map((link) => `${path}: ${link}`),
    )
  expect(broken).toEqual([])
})

test('links are found, whatever is around them', () => {
  const text =
    '[a](a.md) and [b](docs/b.md#part), [c](https://example.org/c.md) [d](#here)\n```\n[e](e.md)\n```\n| [f](f.md) |'
  expect(localLinks(text)).toEqual(['a.md', 'docs/b.md', 'f.md'])
})

/** Files and folders of the sources that a text names: in backquotes, with a slash or the end of a source file. */
function namedSources(markdown: string): readonly string[] {
  return [...markdown.replace(/```[\s\S]*?```/g, '').matchAll(/`([\w./-]+)`/g)]
    .map((match) => match[1]!)
    .filter(
      (name) => (/\.(ts|wasm)$/.test(name) || /^[\w./-]+\/[\w./-]*$/.test(name)) && !name.startsWith('node_modules'),
    )
}

test('what ARCHITECTURE.md names is there', () => {
  const paths = projectFiles(checkout).map((path) => `/${path}`)
  const built = ['dist/', 'dist/main.js', 'holdfast/engine']
  const missing = namedSources(readFileSync(join(checkout, 'ARCHITECTURE.md'), 'utf8'))
    .filter((name) => !built.includes(name))
    .filter(
      (name) => !paths.some((path) => path.endsWith(`/${name}`) || path.includes(`/${name.replace(/\/?$/, '/')}`)),
    )
  expect(missing).toEqual([])
})

test('names of sources are found', () => {
  expect(namedSources('`a.ts` and `docs/b`, `c/`, not `npm test`, `d` or `HOLDFAST_NATIVE=off`')).toEqual([
    'a.ts',
    'docs/b',
    'c/',
  ])
})
