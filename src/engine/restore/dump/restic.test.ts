import { execFileSync, spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { makeOddFolder } from '../../../../test/support/odd-folder.ts'
import { commandPath, lacks } from '../../../../test/support/requirements.ts'
import { readTreeBlobs, resticPrograms, resticVersion, runRestic } from '../../../../test/support/restic-trees.ts'
import { decodeTree } from '../../repository/tree/decode-tree.ts'
import type { DumpEntry } from './dump-entry.ts'
import { writeTar } from './tar.ts'
import { writeZip } from './zip.ts'

/** One entry as an archive tool lists it. */
interface Listed {
  readonly attributes: string
  readonly seconds: number
}

describe.skipIf(lacks('restic', 'root', 'setfattr')).each(resticPrograms)(
  'archives agree with those of %s',
  (program) => {
    let root: string
    const inRoot = (name: string): string => join(root, name)

    beforeAll(async () => {
      root = mkdtempSync(join(tmpdir(), 'dump-'))
      const folder = inRoot('tree')
      makeOddFolder(folder)
      mkdirSync(join(folder, 'd'.repeat(120)))
      writeFileSync(join(folder, 'd'.repeat(120), 'file'), 'deep')
      writeFileSync(join(folder, 'large'), Buffer.alloc(3_000_000, 'abc 123 '))
      runRestic(program, inRoot('repository'), ['init'])
      runRestic(program, inRoot('repository'), ['backup', 'tree'], root)
      const blobs = readTreeBlobs(program, inRoot('repository'))
      async function* entries(id: string, prefix: string): AsyncGenerator<DumpEntry> {
        for (const node of decodeTree(blobs.get(id)!, id).nodes) {
          const path = prefix + node.name
          const content = node.type === 'file' ? [readFileSync(Buffer.from(`${root}/${path}`, 'latin1'))] : undefined
          yield { path, node, content }
          if (node.subtree !== undefined) yield* entries(node.subtree, `${path}/`)
        }
      }
      for (const [format, writer] of [
        ['tar', writeTar],
        ['zip', writeZip],
      ] as const) {
        writeFileSync(
          inRoot(`theirs.${format}`),
          runRestic(program, inRoot('repository'), ['dump', '-a', format, 'latest', '/']),
        )
        const file = openSync(inRoot(`ours.${format}`), 'w')
        const write = async (bytes: Uint8Array) => void writeSync(file, bytes)
        await writer({ entries: entries([...blobs.keys()][0]!, ''), write, warn: () => undefined })
      }
    })
    afterAll(() => rmSync(root, { recursive: true }))

    /** Names with what the tool says about each; names are escaped. */
    function list(command: string, args: readonly string[], line: RegExp): Map<string, Listed> {
      const output = execFileSync(command, args, {
        encoding: 'latin1',
        env: { ...process.env, TZ: 'UTC', LC_ALL: 'C' },
      })
      const found = output.split('\n').flatMap((text) => {
        const { name, time, ...attributes } = line.exec(text)?.groups ?? {}
        if (name === undefined || time === undefined) return []
        return [[name, { attributes: JSON.stringify(attributes), seconds: Date.parse(`${time}Z`) / 1000 }] as const]
      })
      return new Map(found)
    }

    test('tar: names, types, modes, owners, sizes, links and times', () => {
      const line = /^(?<mode>\S+) (?<owner>\S+) +(?<size>\S+) (?<time>\S+ [\d:.]+) +(?<name>.*)$/
      const read = (file: string) =>
        list('tar', ['--full-time', '--numeric-owner', '--quoting-style=escape', '-tvf', inRoot(file)], line)
      const ours = read('ours.tar')
      const theirs = read('theirs.tar')
      // restic leaves out what is neither a file nor a directory nor a link.
      const special = [...ours].filter(([, { attributes }]) => /"mode":"[bcp]/.test(attributes)).map(([name]) => name)
      expect(special).toEqual(['tree/block', 'tree/char', 'tree/fifo'])
      for (const name of special) ours.delete(name)
      // restic rounds times to seconds.
      for (const [name, { attributes, seconds }] of ours)
        ours.set(name, { attributes, seconds: Math.floor(seconds + 0.5) })
      expect(theirs.size).toBeGreaterThan(40)
      expect([...ours]).toEqual([...theirs])
    })

    test('tar: what it unpacks to', () => {
      const difference = spawnSync('tar', ['--xattrs', '--acls', '-C', root, '--compare', '-f', inRoot('ours.tar')], {
        encoding: 'utf8',
      })
      // Before 0.16 restic lost link targets that are not UTF-8.
      const lost = resticVersion(program).startsWith('0.14') ? 'tree/link-invalid: Symlink differs\n' : ''
      expect(difference).toMatchObject({ stdout: lost, stderr: '', status: lost === '' ? 0 : 1 })
    })

    test.skipIf(lacks('unzip'))('zip: names, types, modes, sizes and times', () => {
      const line = /^(?<mode>\S{10}) +\S+ unx +(?<size>\d+) \S+ +\S{4} (?<time>\d{8}\.\d{6}) (?<name>.*)$/
      const read = (file: string) => {
        const listing = execFileSync('unzip', ['-Z', '-s', '-T', inRoot(file)], {
          encoding: 'latin1',
          env: { ...process.env, TZ: 'UTC', LC_ALL: 'C' },
        })
        return listing.split('\n').flatMap((text) => {
          const groups = line.exec(text)?.groups
          return groups === undefined ? [] : [{ ...groups }]
        })
      }
      expect(read('theirs.zip').length).toBeGreaterThan(40)
      expect(read('ours.zip')).toEqual(read('theirs.zip'))
      for (const file of ['ours.zip', 'theirs.zip'])
        expect(spawnSync('unzip', ['-tqq', inRoot(file)], { encoding: 'utf8' })).toMatchObject({
          status: 0,
          stderr: '',
        })
    })

    test.skipIf(commandPath('python3') === undefined)('both, for Python', () => {
      // Prints everything but the times of the tar archive, which restic rounds, and what restic leaves out.
      const script = `
import sys, tarfile, zipfile
for i in zipfile.ZipFile(sys.argv[1] + '.zip').infolist():
    print(ascii((i.filename, i.date_time, i.external_attr, i.file_size, i.CRC, i.create_system)))
for i in tarfile.open(sys.argv[1] + '.tar'):
    if i.isfile() or i.isdir() or i.issym():
        extra = sorted(x for x in i.pax_headers.items() if x[0].startswith('SCHILY'))
        print(ascii((i.name, i.mode, i.uid, i.gid, i.uname, i.gname, i.size, i.type, i.linkname, extra)))
`
      const read = (name: string) => execFileSync('python3', ['-c', script, inRoot(name)], { encoding: 'utf8' })
      const theirs = read('theirs')
      expect(theirs).toContain('SCHILY.xattr.user.first')
      expect(read('ours')).toBe(theirs)
    })
  },
)
