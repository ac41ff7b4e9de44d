import { readdirSync, readFileSync } from 'node:fs'
import { MongoClient } from 'mongodb'
import type { MongoTool } from './tools.ts'

const TICK_MS = 10

/** What the server, which this process started, takes for one reading and one writing: on one machine it has to share with its client. */
export async function serverCpu(
  url: string,
  driver: MongoTool,
  database: string,
): Promise<{ readonly dump: number; readonly restore: number }> {
  const restored = `${database}_restored`
  const before = cpuOfChildren(process.pid)
  await driver.dump(database)
  const between = cpuOfChildren(process.pid)
  await driver.restore(database, restored)
  const after = cpuOfChildren(process.pid)
  await using client = await new MongoClient(url).connect()
  await client.db(restored).dropDatabase()
  return { dump: between - before, restore: after - between }
}

/** Milliseconds of all processes that live and of those they waited for. */
function cpuOfChildren(pid: number): number {
  let sum = 0
  for (const thread of threadsOf(pid))
    for (const child of readOrEmpty(`/proc/${pid}/task/${thread}/children`).split(' ').filter(Boolean))
      sum += cpuOf(Number(child)) + cpuOfChildren(Number(child))
  return sum
}

function threadsOf(pid: number): readonly string[] {
  try {
    return readdirSync(`/proc/${pid}/task`)
  } catch {
    return [] // It has ended.
  }
}

/** `utime`, `stime`, `cutime` and `cstime` of proc(5). */
const cpuOf = (pid: number): number =>
  readOrEmpty(`/proc/${pid}/stat`)
    .replace(/^.*\) /, '')
    .split(' ')
    .slice(11, 15)
    .reduce((sum, ticks) => sum + Number(ticks), 0) * TICK_MS

function readOrEmpty(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return '' // It has ended.
  }
}
