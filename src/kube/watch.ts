/**
 * Following a kind as a state machine, without the I/O: {@link Watcher} makes the request that the state names, and tells what came of it.
 *
 *            page            last page                 ended, reset, idle: resume from the last resourceVersion
 *           ┌────┐        ┌──────────────┐               ┌────┐
 *     listing ◄──┘ ───────┘              ▼               │    ▼
 *        ▲                             watching ─────────┴─ (backing-off)
 *        │ refused                       ▲   │
 *     streaming ── initial-events-end ───┘   │ 410
 *        ▲                                   │
 *        └───────────────────────────────────┘   (to listing, where the server does not stream lists)
 *
 * There is no last state: whatever happens, the machine asks the server again.
 */
import { newest } from './resource-version.ts';

/** A state in which there is a request to make. */
export type RequestState =
  /** Getting the kind in pages; without a token, the first one. */
  | { readonly name: 'listing'; readonly continueToken?: string }
  /** Getting the kind as the beginning of a watch (WatchList), as ADDED events up to a bookmark that says it is whole. */
  | { readonly name: 'streaming' }
  /** The kind is known as of `resourceVersion`, and what happens after it is followed. */
  | { readonly name: 'watching'; readonly resourceVersion: string };

export type WatchState =
  | RequestState
  | { readonly name: 'backing-off'; readonly delayMs: number; readonly next: RequestState };

export interface WatchMachine {
  readonly state: WatchState;
  /** Failures since a watch last told something. */
  readonly failures: number;
  /** Whether to ask for a streamed list; no more after the server refused one. */
  readonly streams: boolean;
}

/** What came of a request, or within one. Times are milliseconds. */
export type WatchInput =
  | { readonly type: 'page'; readonly resourceVersion: string; readonly continueToken?: string }
  | { readonly type: 'initial-events-end'; readonly resourceVersion: string }
  /** An event or a bookmark of a watch. */
  | { readonly type: 'told'; readonly resourceVersion: string }
  /** The server ended the watch in order. `toldAnything` speaks of this one connection, `lastedMs` is its age. */
  | { readonly type: 'ended'; readonly lastedMs: number; readonly toldAnything: boolean }
  /** The server does not understand the request (400 or 422). */
  | { readonly type: 'refused' }
  /** The server has forgotten the resourceVersion or the token (410). */
  | { readonly type: 'gone' }
  /** Nothing came for so long that the connection is taken for dead. */
  | { readonly type: 'idle' }
  /** Anything else. `retryAfterMs` is the server's wish. */
  | { readonly type: 'failed'; readonly lastedMs: number; readonly retryAfterMs?: number }
  /** The time in `backing-off` is over. */
  | { readonly type: 'waited' };

export const INITIAL_MACHINE: WatchMachine = { state: { name: 'streaming' }, failures: 0, streams: true };

const FIRST_DELAY_MS = 200;
const LONGEST_DELAY_MS = 30_000;
/** A connection that lived so long was a good one, even if it had nothing to tell. */
const GOOD_CONNECTION_MS = 1_000;

/**
 * The next state of the machine.
 *
 * @param random in [0, 1): the jitter of a delay
 */
export function nextWatch(machine: WatchMachine, input: WatchInput, random: number): WatchMachine {
  const { state } = machine;
  if (state.name !== 'backing-off') return afterRequest(machine, state, input, random);
  return input.type === 'waited' ? { ...machine, state: state.next } : machine;
}

function afterRequest(machine: WatchMachine, state: RequestState, input: WatchInput, random: number): WatchMachine {
  switch (input.type) {
    case 'page':
      return input.continueToken === undefined
        ? { ...machine, state: { name: 'watching', resourceVersion: input.resourceVersion } }
        : { ...machine, state: { name: 'listing', continueToken: input.continueToken } };
    case 'initial-events-end':
      return { ...machine, state: { name: 'watching', resourceVersion: input.resourceVersion } };
    case 'told':
      return state.name === 'watching' ? progressed(machine, state.resourceVersion, input.resourceVersion) : machine;
    case 'ended':
      // One that ends at once and tells nothing, again and again, must not become a loop of requests.
      return state.name === 'watching' && (input.toldAnything || input.lastedMs >= GOOD_CONNECTION_MS)
        ? { ...machine, failures: 0 }
        : backOff(machine, state, random);
    case 'refused':
      return state.name === 'streaming'
        ? { ...machine, streams: false, state: { name: 'listing' } }
        : backOff(machine, state, random);
    case 'gone':
      return relist(machine, state, random);
    case 'failed':
      return backOff(
        input.lastedMs >= GOOD_CONNECTION_MS ? { ...machine, failures: 0 } : machine,
        state,
        random,
        input.retryAfterMs,
      );
    case 'idle':
    case 'waited':
      // Finding out that a connection is idle took long enough: no further delay.
      return machine;
  }
}

function progressed(machine: WatchMachine, from: string, to: string): WatchMachine {
  return { ...machine, failures: 0, state: { name: 'watching', resourceVersion: newest(from, to) } };
}

/** At once, the first time. A server that forgets faster than it lists is not asked faster for it. */
function relist(machine: WatchMachine, from: RequestState, random: number): WatchMachine {
  const next: RequestState = machine.streams ? { name: 'streaming' } : { name: 'listing' };
  return from.name === 'watching' && machine.failures === 0
    ? { ...machine, failures: 1, state: next }
    : backOff(machine, next, random);
}

function backOff(machine: WatchMachine, next: RequestState, random: number, retryAfterMs = 0): WatchMachine {
  // 2 ** failures becomes Infinity for a server that stays away for ever; the minimum keeps that harmless.
  const delayMs = Math.min(LONGEST_DELAY_MS, FIRST_DELAY_MS * 2 ** machine.failures * (1 + random / 2));
  return {
    ...machine,
    failures: machine.failures + 1,
    state: { name: 'backing-off', delayMs: Math.max(delayMs, Math.min(retryAfterMs, LONGEST_DELAY_MS)), next },
  };
}
