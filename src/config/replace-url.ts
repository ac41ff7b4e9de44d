import { open, realpath, rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { isScalar, parse, parseDocument } from 'yaml'
import { toHex } from '../lib/bytes.ts'
import { HoldfastError, systemErrorCode } from '../lib/errors.ts'
import { randomBytes } from '../lib/random.ts'

/**
 * Writes another `url` of a repository into a configuration file, in one step: whoever reads the file sees the old or the new one. All other
 * text, comments too, stays as it is.
 *
 * @throws HoldfastError HF_CONFIG_INVALID when the place cannot be edited by itself, HF_CONFIG_NOT_FOUND when the file cannot be written
 */
export async function replaceRepositoryUrl(file: string, repository: string, url: string): Promise<void> {
  let temporary: string | undefined
  try {
    // A link stays one.
    const path = await realpath(file)
    temporary = `${path}.${toHex(randomBytes(4))}`
    await using original = await open(path)
    const { mode, uid, gid } = await original.stat()
    const text = withUrl(await original.readFile('utf8'), file, repository, url)
    {
      await using next = await open(temporary, 'wx', 0o600)
      await next.writeFile(text)
      // Only root may give a file away; an owner who writes it keeps it anyway.
      if (process.getuid?.() === 0) await next.chown(uid, gid)
      await next.chmod(mode & 0o7777)
      await next.sync()
    }
    await rename(temporary, path)
    await using folder = await open(dirname(path))
    await folder.sync()
  } catch (cause) {
    if (temporary !== undefined) await rm(temporary, { force: true })
    if (cause instanceof HoldfastError) throw cause
    throw new HoldfastError(
      'HF_CONFIG_NOT_FOUND',
      `configuration file ${file} cannot be written: ${systemErrorCode(cause)}`,
      {
        cause,
        hint: 'write the new url there yourself',
      },
    )
  }
}

/** `text` with another url. @throws HoldfastError HF_CONFIG_INVALID */
export function withUrl(text: string, file: string, repository: string, url: string): string {
  const path = ['repositories', repository, 'url']
  const node = parseDocument(text).getIn(path, true)
  const refuse = (): HoldfastError =>
    new HoldfastError(
      'HF_CONFIG_INVALID',
      `the url of repository ${repository} in ${file} cannot be edited by a program`,
      {
        hint: `write it there yourself: ${url}`,
      },
    )
  if (!isScalar(node) || node.anchor !== undefined || node.range == null) throw refuse()
  const [start, end] = node.range
  const edited = text.slice(0, start) + JSON.stringify(url) + text.slice(end)
  const expected = parse(text) as { repositories: Record<string, { url: unknown }> }
  expected.repositories[repository]!.url = url
  let result: unknown
  try {
    result = parse(edited)
  } catch {
    throw refuse()
  }
  if (JSON.stringify(result) !== JSON.stringify(expected)) throw refuse()
  return edited
}
