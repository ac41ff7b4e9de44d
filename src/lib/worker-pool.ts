import { setFlagsFromString } from 'node:v8'
import { Worker } from 'node:worker_threads'
import { systemClock } from './clock.ts'
import { type ErrorCode, type ErrorContext, errorCodes, HoldfastError, type RetryClass } from './errors.ts'

/** The module of a worker thread beside the caller's: TypeScript in a checkout, JavaScript in a built package. */
export function workerModule(callerUrl: string, name: string): URL {
  return new URL(`${name}${callerUrl.endsWith('.ts') ? '.ts' : '.js'}`, callerUrl)
}

/**
 * In a checkout every thread takes the types off its modules, which Node does in WebAssembly. V8 (13.6) replaces the wrappers of functions
 * that WebAssembly calls after a thousand calls, shares the new ones among threads, and may free one that another thread has just got when a
 * thread ends: a segmentation fault once in some hundred test runs. With this they are never replaced.
 */
const KEEP_WRAPPERS = '--wasm-wrapper-tiering-budget=1000000000'

/** Threads work in kept buffers and make few objects; the default lets each grow by tens of megabytes of garbage before it is collected. */
const YOUNG_GENERATION_MB = 6

/** What a worker posts for a task: its result, or its failure. */
export type TaskReply<Result> =
  | { readonly task: number; readonly result: Result }
  | { readonly task: number; readonly error: PlainError }

/** An error as it crosses threads. */
export interface PlainError {
  readonly code: ErrorCode | undefined
  readonly message: string
  readonly hint: string | undefined
  readonly context: ErrorContext
  readonly retry: RetryClass | undefined
  readonly systemCode: string | undefined
  readonly stack: string | undefined
}

export interface WorkerPoolOptions<Notice> {
  /** At most this many; a thread is started when a task comes and all others are busy. */
  readonly threads: number
  /** What a thread is started with, as its `workerData`; a function is asked at each start. */
  readonly data: object | (() => object)
  /** Tasks a thread may have waiting besides the one it works on, so that it never idles between two. */
  readonly waitingPerThread?: number
  /** Messages that are not replies. */
  readonly onNotice?: (notice: Notice) => void
}

interface Thread {
  readonly worker: Worker
  /** Tasks given to it and not yet answered. */
  running: number
  /** When it began the task it works on, in turns of the pool. */
  begun: number
  /** Resolves when it has ended, however. */
  readonly ended: Promise<void>
}

/** A thread is given so long for the step it is at, and to end by itself. */
const END_WAIT_MS = 15_000

interface Waiting<Task> {
  readonly task: Task
  readonly resolve: (result: never) => void
  readonly reject: (error: unknown) => void
}

/**
 * Long-lived worker threads that take tasks in turn, which their module hands to `answerTasks` of task-thread.ts. A thread that dies fails
 * its tasks and all later ones.
 */
export class WorkerPool<Task, Result, Notice = never> {
  readonly #threads: Thread[] = []
  readonly #waiting: Waiting<Task>[] = []
  readonly #running = new Map<number, { readonly thread: Thread; readonly waiting: Waiting<Task> }>()
  /** Tells all threads at once that the pool is being closed, also those in the middle of a task. */
  readonly #ending = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT))
  readonly #module: URL
  readonly #data: object | (() => object)
  #maxThreads: number
  readonly #limit: number
  readonly #onNotice: ((notice: Notice) => void) | undefined
  #nextTask = 0
  #turn = 0
  #failure: unknown

  constructor(module: URL, options: WorkerPoolOptions<Notice>) {
    this.#limit = 1 + (options.waitingPerThread ?? 1)
    this.#onNotice = options.onNotice
    if (module.pathname.endsWith('.ts')) setFlagsFromString(KEEP_WRAPPERS)
    this.#module = module
    this.#data = options.data
    this.#maxThreads = options.threads
  }

  /** How many threads there may be. */
  get threads(): number {
    return this.#maxThreads
  }

  /** How many threads there may be from now on. Those that run go on. */
  set threads(count: number) {
    this.#maxThreads = count
    this.#dispatch()
  }

  /** Tasks given and not yet answered. */
  get pending(): number {
    return this.#waiting.length + this.#running.size
  }

  /** Gives `task` to the thread with the least to do, as soon as one has room: among equals to the one that works on its task the longest. */
  run<R extends Result = Result>(task: Task): Promise<R> {
    return new Promise<R>((resolve, reject) => {
      if (this.#failure !== undefined) return reject(this.#failure)
      this.#waiting.push({ task, resolve: resolve as (result: never) => void, reject })
      this.#dispatch()
    })
  }

  /** Starts all threads ahead of their tasks: what they load is loaded while others still find out what there is to do. */
  begin(): void {
    while (this.#threads.length < this.#maxThreads) this.#startThread()
  }

  /** Starts all threads and gives `task` to each. */
  async runOnEach<R extends Result = Result>(task: Task): Promise<R[]> {
    this.begin()
    return await this.runOnStarted<R>(task)
  }

  /** Gives `task` to every thread that has been started, behind what each has been given already. */
  async runOnStarted<R extends Result = Result>(task: Task): Promise<R[]> {
    return await Promise.all(
      this.#threads.map(
        (thread) =>
          new Promise<R>((resolve, reject) => {
            if (this.#failure !== undefined) return reject(this.#failure)
            this.#start(thread, { task, resolve: resolve as (result: never) => void, reject })
          }),
      ),
    )
  }

  /** Fails with `reason` what no thread has been given yet. */
  dropWaiting(reason: unknown): void {
    for (const { reject } of this.#waiting.splice(0)) reject(reason)
  }

  /** Ends all threads: each after the task it works on, or where that task asks `isPoolEnding`. What waits is not begun. */
  async close(): Promise<void> {
    this.#failure ??= new HoldfastError('HF_INTERRUPTED', 'the worker threads were stopped')
    this.#rejectAll(this.#failure)
    Atomics.store(this.#ending, 0, 1)
    await Promise.all(this.#threads.map(endThread))
  }

  #dispatch(): void {
    while (this.#waiting.length > 0) {
      let best: Thread | undefined
      for (const thread of this.#threads) if (!best || isFreeSooner(thread, best)) best = thread
      if ((!best || best.running > 0) && this.#threads.length < this.#maxThreads) best = this.#startThread()
      if (!best || best.running >= this.#limit) return
      this.#start(best, this.#waiting.shift()!)
    }
  }

  #startThread(): Thread {
    const worker = new Worker(this.#module, {
      workerData: { ...(typeof this.#data === 'function' ? this.#data() : this.#data), ending: this.#ending },
      resourceLimits: { maxYoungGenerationSizeMb: YOUNG_GENERATION_MB },
      // Else Node warns of each descriptor that was opened natively, or by another thread, when node:fs closes it.
      trackUnmanagedFds: false,
    })
    const ended = new Promise<void>((resolve) => worker.once('exit', () => resolve()))
    const thread: Thread = { worker, running: 0, begun: 0, ended }
    worker.on('message', (message: TaskReply<Result> | { notice: Notice }) => this.#receive(thread, message))
    worker.on('error', (error) => this.#fail(error))
    worker.on('exit', (code) => {
      if (code !== 0) this.#fail(new HoldfastError('HF_INTERNAL', `a worker thread ended with code ${code}`))
    })
    this.#threads.push(thread)
    return thread
  }

  #start(thread: Thread, waiting: Waiting<Task>): void {
    const task = this.#nextTask++
    if (thread.running++ === 0) thread.begun = this.#turn++
    this.#running.set(task, { thread, waiting })
    thread.worker.postMessage({ task, payload: waiting.task })
  }

  #receive(thread: Thread, message: TaskReply<Result> | { notice: Notice }): void {
    if ('notice' in message) {
      this.#onNotice?.(message.notice)
      return
    }
    const running = this.#running.get(message.task)
    if (!running) return
    this.#running.delete(message.task)
    if (--thread.running > 0) thread.begun = this.#turn++
    if ('error' in message) running.waiting.reject(reviveError(message.error))
    else running.waiting.resolve(message.result as never)
    this.#dispatch()
  }

  #fail(error: unknown): void {
    this.#failure ??= error
    this.#rejectAll(this.#failure)
  }

  #rejectAll(error: unknown): void {
    for (const { waiting } of this.#running.values()) waiting.reject(error)
    this.#running.clear()
    for (const waiting of this.#waiting.splice(0)) waiting.reject(error)
  }
}

const isFreeSooner = (thread: Thread, other: Thread): boolean =>
  thread.running < other.running || (thread.running === other.running && thread.begun < other.begun)

/**
 * Lets a thread end by itself. Stopping it somewhere is for one that does not: a native library that is being loaded at that moment may
 * abort the whole process.
 */
async function endThread({ worker, ended }: Thread): Promise<void> {
  const patience = new AbortController()
  worker.postMessage({ end: true })
  await Promise.race([ended, systemClock.sleep(END_WAIT_MS, patience.signal).catch(() => undefined)])
  patience.abort()
  await worker.terminate()
}

/** The form in which a worker posts an error. */
export function plainError(error: unknown): PlainError {
  const known = error instanceof HoldfastError ? error : undefined
  const fallback = error as Partial<NodeJS.ErrnoException> | undefined
  return {
    code: known?.code,
    message: known?.message ?? fallback?.message ?? String(error),
    hint: known?.hint,
    context: known?.context ?? {},
    retry: known?.retry,
    systemCode: known ? undefined : fallback?.code,
    stack: fallback?.stack,
  }
}

/** The error a worker posted, as thrown there. */
export function reviveError(plain: PlainError): Error {
  const cause = plain.stack
  if (plain.code !== undefined && plain.code in errorCodes)
    return new HoldfastError(plain.code, plain.message, {
      context: plain.context,
      cause,
      ...(plain.hint === undefined ? {} : { hint: plain.hint }),
      ...(plain.retry === undefined ? {} : { retry: plain.retry }),
    })
  return Object.assign(
    new Error(plain.message, { cause }),
    plain.systemCode === undefined ? {} : { code: plain.systemCode },
  )
}
