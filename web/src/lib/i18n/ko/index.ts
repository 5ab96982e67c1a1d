import type { Messages } from '../en';
import { account } from './account';
import { app } from './app';
import { cluster } from './cluster';
import { create } from './create';
import { operations } from './operations';

export const messages: Messages = { ...app, ...account, ...create, ...cluster, ...operations };
