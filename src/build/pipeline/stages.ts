/** The containers of a build pod, in their order. Where there is none for `check`, `build` begins with it. */
export const CONTAINER_STAGES = ['check', 'build', 'sign', 'push'] as const;
export type ContainerStage = (typeof CONTAINER_STAGES)[number];

/** What a run of the pipeline does: a container's share, or all of them in one process. */
export const STAGES = [...CONTAINER_STAGES, 'all'] as const;
export type Stage = (typeof STAGES)[number];
