import fields from '../../api/fields.gen.json' with { type: 'json' };
import { GROUP } from '../../api/labels.ts';
import { MODULES } from '../../api/module.ts';
import { type FieldTree, missingFields, servedModuleSchema } from '../../api/served-schema.ts';
import type { KubeClient } from '../../kube/client.ts';
import { isForbidden, isNotFound } from '../../kube/errors.ts';
import { apiVersionOf } from '../../kube/resources.ts';
import { type Clock, sleep } from '../../runtime/clock.ts';
import { describeError, type Logger } from '../../runtime/logger.ts';

const CRD_NAME = `${MODULES.plural}.${GROUP}`;
const KNOWN_FIELDS: FieldTree = fields;
/** A CRD that was just applied is in the server's OpenAPI document within two seconds. */
const FIRST_LOOK_AGAIN_MS = 250;
const LOOK_AGAIN_MS = 10_000;
const FIELDS_NAMED = 3;

interface CrdGateOptions {
  readonly client: Pick<KubeClient, 'openApi'>;
  readonly clock: Clock;
  readonly log: Logger;
  /** The release of this program. */
  readonly version: string;
}

/**
 * Keeps an operator from working with a CRD that is older than itself: the API server would drop the fields that it does not know, of
 * users' Modules and of the status that we write, and nobody would be told. It opens when the CRD is new enough, without a restart.
 */
export class CrdGate {
  readonly #options: CrdGateOptions;
  #problem: string | undefined = `the CustomResourceDefinition ${CRD_NAME} has not been looked at yet`;

  constructor(options: CrdGateOptions) {
    this.#options = options;
  }

  /** Resolves when the served CRD knows every field that we know. @throws the signal's reason */
  async opened(signal: AbortSignal): Promise<void> {
    const { clock, log } = this.#options;
    for (let delayMs = FIRST_LOOK_AGAIN_MS; ; delayMs = Math.min(2 * delayMs, LOOK_AGAIN_MS)) {
      const problem = await this.#look(signal);
      if (problem !== undefined && problem !== this.#problem) log.warn({ problem }, 'not ready: the CRD does not fit');
      this.#problem = problem;
      if (problem === undefined) return;
      await sleep(clock, delayMs, signal);
    }
  }

  /** @throws Error with the sentence that says what is wrong and what to run */
  assertOpen(): void {
    if (this.#problem !== undefined) throw new Error(this.#problem);
  }

  async #look(signal: AbortSignal): Promise<string | undefined> {
    const { client, log, version } = this.#options;
    try {
      return problemOf(await client.openApi(apiVersionOf(MODULES), { signal }), version);
    } catch (error) {
      signal.throwIfAborted();
      if (isNotFound(error)) return missingCrd(version);
      if (!isForbidden(error))
        return `the CustomResourceDefinition ${CRD_NAME} cannot be read: ${describeError(error)}`;
      // Somebody took system:discovery from the ServiceAccounts. Not to load a module for that would be worse.
      log.warn({ err: error }, 'whether the CRD is as new as this program cannot be seen');
      return undefined;
    }
  }
}

/** What is wrong with what the server serves; undefined when nothing is. */
export function problemOf(openApi: unknown, version: string, known: FieldTree = KNOWN_FIELDS): string | undefined {
  const schema = servedModuleSchema(openApi);
  if (schema === undefined) return missingCrd(version);
  const missing = missingFields(known, schema);
  if (missing.length === 0) return undefined;
  const named = missing.slice(0, FIELDS_NAMED).join(', ');
  const more = missing.length > FIELDS_NAMED ? ` and ${missing.length - FIELDS_NAMED} more` : '';
  return (
    `the CustomResourceDefinition ${CRD_NAME} is older than this operator (${version}): it has no ${named}${more}, ` +
    `and the API server would drop these without a word. ${cure(version)}`
  );
}

function missingCrd(version: string): string {
  return `the CustomResourceDefinition ${CRD_NAME} is not served. ${cure(version)}`;
}

function cure(version: string): string {
  return (
    `Run \`helm upgrade\` with the chart of release ${version}, or \`kubectl apply --server-side -k config/crd\` ` +
    'in its sources; the operator goes on by itself then.'
  );
}
