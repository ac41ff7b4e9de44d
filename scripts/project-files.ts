import { readdirSync } from 'node:fs'
import { join } from 'node:path'

const notOurs: ReadonlySet<string> = new Set(['.git', 'node_modules', 'dist', 'coverage'])

/** Paths of the project's own files below `root`, relative to it, in order. What is generated on the way (dist, benchmark trees) is left out. */
export function projectFiles(root: string, folder = ''): readonly string[] {
  const files: string[] = []
  for (const entry of readdirSync(join(root, folder), { withFileTypes: true })) {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) {
      if (!notOurs.has(entry.name) && path !== join('bench', 'work')) files.push(...projectFiles(root, path))
    } else if (entry.isFile()) {
      files.push(path)
    }
  }
  return files.sort()
}
