import type { Said } from './pattern';
import { health } from './said-health';
import { plans } from './said-plans';

/** All that the service can say; the first that fits counts. */
export const sentences: Said[] = [...plans, ...health];
