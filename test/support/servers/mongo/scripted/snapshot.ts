import { asString, field, Type } from './bson.ts'
import type { Command } from './command.ts'
import type { Server } from './context.ts'
import { MongoFailure } from './failure.ts'
import { secondsOf } from './timestamps.ts'

/**
 * The time at which a command wants to read; undefined when it reads what is there now.
 * @throws MongoFailure when the server cannot read at that time
 */
export function snapshotTime(server: Server, command: Command): bigint | undefined {
  const concern = command.document('readConcern')
  if (concern === undefined || asString(field(concern, 'level')) !== 'snapshot') return undefined
  const { member, data } = server
  if (member.setName === undefined && member.role !== 'mongos') {
    throw new MongoFailure(123, 'node needs to be a replica set member to use readConcern: snapshot')
  }
  const wanted = field(concern, 'atClusterTime')
  if (wanted === undefined) return member.majorityTime
  if (wanted.type !== Type.timestamp)
    throw new MongoFailure(14, "BSON field 'readConcern.atClusterTime' is the wrong type")
  const time = wanted.bytes.readBigUInt64LE(0)
  if (time > data.clock.last) {
    throw new MongoFailure(72, "readConcern 'atClusterTime' must not be greater than the current clusterTime")
  }
  checkAge(server, time)
  return time
}

/** @throws MongoFailure SnapshotTooOld when a time lies behind the history that is kept */
export function checkAge({ snapshots, data }: Server, time: bigint): void {
  const age = data.clock.wall().getTime() / 1000 - secondsOf(time)
  if (time >= snapshots.oldest && age <= snapshots.windowSeconds) return
  throw new MongoFailure(239, `Read timestamp ${secondsOf(time)} is older than the oldest available timestamp.`)
}
