import { spawn } from 'node:child_process'
import { existsSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { setTimeout as delay } from 'node:timers/promises'
import { MongoClient } from 'mongodb'
import { describe, expect, test } from 'vitest'
import { processesIn } from '../../../../src/sources/sandbox/processes.ts'
import { lacks } from '../../requirements.ts'
import { serverFolder } from '../server-folder.ts'
import { startFerret } from './ferret.ts'

const OWNER = `
import { startFerret } from ${JSON.stringify(new URL('./ferret.ts', import.meta.url).href)}
await startFerret()
console.log('started')
setInterval(() => {}, 1000)
`

describe.skipIf(lacks('ferretdb'))('FerretDB', () => {
  test('takes documents, and wants a password when it is told to', async () => {
    await using server = await startFerret({ auth: { password: 'a b/c' } })
    await using client = await new MongoClient(server.url).connect()
    await client.db('shop').collection('a').insertOne({ n: 1 })
    expect(await client.db('shop').collection('a').countDocuments()).toBe(1)
    expect(await client.db('admin').command({ buildInfo: 1 })).toMatchObject({ ferretdb: { version: 'v2.7.0' } })
    await using nobody = await new MongoClient(`mongodb://127.0.0.1:${server.port}/`).connect()
    await expect(nobody.db('shop').collection('a').findOne()).rejects.toMatchObject({ code: 13 })
  })

  test('goes with its data when the next one starts after its owner was killed', async () => {
    const owner = spawn(process.execPath, ['--input-type=module-typescript', '-e', OWNER], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    await new Promise((resolve) => owner.stdout.once('data', resolve))
    const mine = `${tmpdir()}/${readdirSync(tmpdir()).find((name) => name.startsWith(`holdfast-ferret-${owner.pid}-`))}`
    expect(processesIn(mine).length).toBeGreaterThan(2)
    owner.kill('SIGKILL')
    await new Promise((resolve) => owner.once('exit', resolve))
    rmSync(serverFolder('ferret'), { recursive: true })
    expect(existsSync(mine)).toBe(false)
    for (let n = 0; n < 100 && processesIn(mine).length > 0; n++) await delay(20)
    expect(processesIn(mine)).toEqual([])
  })
})
