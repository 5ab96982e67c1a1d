import { createRootRoute, createRoute, createRouter, Outlet, redirect } from '@tanstack/react-router';
import { ClusterPage } from './cluster';
import { ClusterConnect } from './cluster-connect';
import { ClusterHealing } from './cluster-healing';
import { ClusterManage } from './cluster-manage';
import { ClusterOperations } from './cluster-operations';
import { ClusterOverview } from './cluster-overview';
import { CreatePage } from './create';
import { FleetPage } from './fleet';
import { LoginPage } from './login';
import { NotFoundPage } from './not-found';
import { OperationPage } from './operation';
import { SettingsPage } from './settings';
import { SetupPage } from './setup';
import { Shell } from './shell';

const root = createRootRoute({ component: Outlet, notFoundComponent: NotFoundPage });

const text = (v: unknown) => (typeof v === 'string' && v !== '' ? v : undefined);

export const setupRoute = createRoute({
  getParentRoute: () => root,
  path: '/setup',
  component: SetupPage,
  validateSearch: (s: Record<string, unknown>): { secret?: string } => ({ secret: text(s.secret) }),
});

const loginRoute = createRoute({
  getParentRoute: () => root,
  path: '/login',
  component: LoginPage,
  validateSearch: (s: Record<string, unknown>): { to?: string } => ({ to: text(s.to) }),
});

const shell = createRoute({ getParentRoute: () => root, id: 'shell', component: Shell });

const fleet = createRoute({ getParentRoute: () => shell, path: '/', component: FleetPage });
const create = createRoute({ getParentRoute: () => shell, path: '/clusters/new', component: CreatePage });
const settings = createRoute({ getParentRoute: () => shell, path: '/settings', component: SettingsPage });
const cluster = createRoute({ getParentRoute: () => shell, path: '/c/$cluster', component: ClusterPage });
const overview = createRoute({ getParentRoute: () => cluster, path: '/', component: ClusterOverview });
const operations = createRoute({
  getParentRoute: () => cluster,
  path: '/operations',
  component: ClusterOperations,
});
const healing = createRoute({ getParentRoute: () => cluster, path: '/healing', component: ClusterHealing });
const connect = createRoute({ getParentRoute: () => cluster, path: '/connect', component: ClusterConnect });
const manage = createRoute({ getParentRoute: () => cluster, path: '/manage', component: ClusterManage });
const operation = createRoute({
  getParentRoute: () => shell,
  path: '/operations/$operation',
  component: OperationPage,
});
const old = createRoute({
  getParentRoute: () => shell,
  path: '/clusters',
  beforeLoad: () => {
    throw redirect({ to: '/' });
  },
});

export const router = createRouter({
  routeTree: root.addChildren([
    setupRoute,
    loginRoute,
    shell.addChildren([
      fleet,
      create,
      settings,
      old,
      operation,
      cluster.addChildren([overview, operations, healing, connect, manage]),
    ]),
  ]),
  defaultPreload: false,
  scrollRestoration: true,
});

declare module '@tanstack/react-router' {
  interface Register {
    router: typeof router;
  }
}
