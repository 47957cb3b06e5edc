import type { Module } from '../../api/module.ts';
import type { KubeClient } from '../../kube/client.ts';
import { DAEMONSETS, type DaemonSet } from '../../kube/core.ts';
import { isAlreadyExists, isNotFound, isRefusal } from '../../kube/errors.ts';
import { refOf } from '../../kube/paths.ts';
import type { Logger } from '../../runtime/logger.ts';
import type { Caches } from '../caches.ts';
import { GENERATION_ANNOTATION } from '../identity.ts';
import { trimDaemonSet } from '../records.ts';
import type { WriteProblem } from './node-state.ts';
import { type DaemonSetAction, overLive } from './plan-daemonsets.ts';

export interface WriteContext {
  readonly module: Module;
  /** {@link ModuleMemory.takenNames} */
  readonly takenNames: Set<string>;
  readonly signal: AbortSignal;
  readonly log: Logger;
}

/** What became of one action. A problem is told in status; an error is retried with backoff. */
export interface WriteOutcome {
  readonly name: string;
  readonly problem?: WriteProblem;
  readonly error?: unknown;
  readonly restored?: boolean;
}

/** Carries out planned DaemonSet actions; never touches an object that is not the Module's. */
export class DaemonSetWriter {
  readonly #client: KubeClient;
  readonly #caches: Caches;

  constructor(client: KubeClient, caches: Caches) {
    this.#client = client;
    this.#caches = caches;
  }

  async apply(action: DaemonSetAction, context: WriteContext): Promise<WriteOutcome> {
    const name = nameOf(action);
    try {
      return { name, ...(await this.#carryOut(action, context)) };
    } catch (error) {
      if (isRefusal(error)) {
        return { name, problem: { state: 'WriteRefused', message: error.message } };
      }
      return { name, error };
    }
  }

  async #carryOut(action: DaemonSetAction, context: WriteContext): Promise<Omit<WriteOutcome, 'name'>> {
    switch (action.kind) {
      case 'create':
        return this.#create(action.desired, context);
      case 'update':
        await this.#update(action.desired, context.signal);
        return action.why === 'EditedByHand' ? { restored: true } : {};
      case 'remove-if-unused':
        await this.#removeIfUnused(action, context);
        return {};
      case 'delete':
        await this.remove(action.live, context.signal);
        return {};
    }
  }

  async #create(desired: DaemonSet, context: WriteContext): Promise<Omit<WriteOutcome, 'name'>> {
    const name = desired.metadata.name ?? '';
    if (context.takenNames.has(name)) {
      const standing = await this.#read(desired, context.signal);
      if (standing !== undefined && !isOf(standing, context.module)) return taken(standing);
      context.takenNames.delete(name);
    }
    try {
      const created = await this.#client.create(DAEMONSETS, desired, { signal: context.signal });
      this.#caches.daemonSets.absorb(created);
      context.log.info({ daemonSet: name }, 'DaemonSet created');
      return {};
    } catch (error) {
      if (!isAlreadyExists(error)) throw error;
    }
    const standing = await this.#read(desired, context.signal);
    if (standing === undefined)
      throw new Error(`DaemonSet ${name} vanished while it was being read; it is created again`);
    if (!isOf(standing, context.module)) {
      context.takenNames.add(name);
      return taken(standing);
    }
    // Ours, but not in the cache: the cache is behind, or somebody took the labels off by which it is found.
    await this.#update(overLive(trimDaemonSet(standing), desired), context.signal);
    return { restored: true };
  }

  async #read(desired: DaemonSet, signal: AbortSignal): Promise<DaemonSet | undefined> {
    try {
      return await this.#client.get(DAEMONSETS, refOf(desired), { signal });
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw error;
    }
  }

  async #update(desired: DaemonSet, signal: AbortSignal): Promise<void> {
    const updated = await this.#client.update(DAEMONSETS, desired, { signal });
    this.#caches.daemonSets.absorb(updated);
    const generation = String(updated.metadata.generation);
    if (updated.metadata.annotations?.[GENERATION_ANNOTATION] === generation) return;
    // The write changed nothing in the spec after all (labels only), so the generation it was to lead to never came.
    const corrected = await this.#client.update(
      DAEMONSETS,
      {
        ...updated,
        metadata: {
          ...updated.metadata,
          annotations: { ...updated.metadata.annotations, [GENERATION_ANNOTATION]: generation },
        },
      },
      { signal },
    );
    this.#caches.daemonSets.absorb(corrected);
  }

  /**
   * Nothing is deleted on a short list: the decision was made from caches, so the object itself is asked, and must say that no pod of it
   * is wanted or running. Its resourceVersion is a precondition, so the answer cannot have changed meanwhile.
   */
  async #removeIfUnused(
    { live }: Extract<DaemonSetAction, { kind: 'remove-if-unused' }>,
    { signal, log, module }: WriteContext,
  ): Promise<void> {
    let standing: DaemonSet;
    try {
      standing = await this.#client.get(DAEMONSETS, refOf(live), { signal });
    } catch (error) {
      if (isNotFound(error)) return;
      throw error;
    }
    if (!isOf(standing, module) || !isUnused(standing)) return;
    await this.remove(standing, signal, standing.metadata.resourceVersion);
    log.info({ daemonSet: live.metadata.name }, 'DaemonSet removed: no node has its kernel any more');
  }

  /** Deletes a DaemonSet by uid and, where given, only in the state of `resourceVersion`. One that is gone already is fine. */
  async remove(
    { metadata }: Pick<DaemonSet, 'metadata'>,
    signal: AbortSignal,
    resourceVersion?: string,
  ): Promise<void> {
    const uid = metadata.uid ?? '';
    try {
      await this.#client.delete(DAEMONSETS, refOf({ metadata }), {
        preconditions: { uid, ...(resourceVersion === undefined ? {} : { resourceVersion }) },
        propagationPolicy: 'Background',
        signal,
      });
    } catch (error) {
      if (isNotFound(error)) return;
      throw error;
    }
    // With somebody's finalizer on it it is only marked, and the cache must go on showing it.
    if ((metadata.finalizers ?? []).length === 0) this.#caches.daemonSets.absorbDeleted(refOf({ metadata }), uid);
  }
}

function isUnused({ metadata, status }: DaemonSet): boolean {
  return (
    status !== undefined &&
    (status.observedGeneration ?? 0) >= (metadata.generation ?? 0) &&
    status.desiredNumberScheduled === 0 &&
    status.currentNumberScheduled === 0 &&
    status.numberMisscheduled === 0
  );
}

function isOf(daemonSet: DaemonSet, module: Module): boolean {
  return daemonSet.metadata.ownerReferences?.some(({ uid }) => uid === module.metadata.uid) ?? false;
}

function taken(standing: DaemonSet): Omit<WriteOutcome, 'name'> {
  return {
    problem: {
      state: 'NameTaken',
      message: `DaemonSet ${standing.metadata.name} exists and is not of this Module; it is left alone. Delete or rename it.`,
    },
  };
}

function nameOf(action: DaemonSetAction): string {
  return (action.kind === 'create' ? action.desired.metadata.name : action.live.metadata.name) ?? '';
}
