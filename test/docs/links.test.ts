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
