import AxeBuilder from '@axe-core/playwright';
import { expect, type Page, test } from '@playwright/test';
import { messages as en } from '../src/lib/i18n/en';
import { messages as ko } from '../src/lib/i18n/ko';
import { Service } from './service';

// From the set-up link to a created, scaled, healed and deleted cluster, by
// clicks and keys only, against a real service with real brokers.

const name = 'orders';
const slow = { timeout: 400_000 };

/** No serious violation of the accessibility rules on the page as it is. */
async function accessible(page: Page, where: string): Promise<void> {
  const { violations } = await new AxeBuilder({ page }).analyze();
  const serious = violations.filter((v) => v.impact === 'serious' || v.impact === 'critical');
  expect(serious.map((v) => `${where}: ${v.id}: ${v.nodes.map((n) => n.target).join(', ')}`)).toEqual([]);
}

/** Keeps a picture of the page where WEIR_SCREENSHOTS says. */
async function picture(page: Page, what: string): Promise<void> {
  const dir = process.env.WEIR_SCREENSHOTS;
  if (dir) await page.screenshot({ path: `${dir}/${what}.png`, animations: 'disabled' });
}

/** How many pixels of a graph are drawn in. */
function inked(canvas: HTMLCanvasElement | SVGElement | HTMLElement): number {
  const c = canvas as HTMLCanvasElement;
  const pixels = c.getContext('2d')?.getImageData(0, 0, c.width, c.height).data ?? new Uint8ClampedArray();
  let n = 0;
  // Grid and axes are grey: what has a colour is a line.
  for (let i = 0; i < pixels.length; i += 4) {
    const [r = 0, g = 0, b = 0, a = 0] = pixels.subarray(i, i + 4);
    if (a > 60 && Math.max(r, g, b) - Math.min(r, g, b) > 40) n++;
  }
  return n;
}

/** How long graphs gather before their picture is taken. */
const lingered = Number(process.env.WEIR_SCREENSHOTS_LINGER_MS ?? 0);

/** What pages must never say to the console: errors, and breaches of the content security policy. */
function listen(page: Page): string[] {
  const said: string[] = [];
  page.on('pageerror', (e) => said.push(e.message));
  page.on('console', (m) => {
    // A refused log-in and the like are answers, which browsers print as errors.
    if (m.type() === 'error' && !m.text().startsWith('Failed to load resource')) said.push(m.text());
  });
  return said;
}

// Each language with another engine: both are walked through.
for (const [language, locale, t, engine, more] of [
  ['en', 'en-US', en, 'weir', 2],
  ['ko', 'ko-KR', ko, 'apache-kafka', 1],
] as const) {
  test.describe(language, () => {
    test.use({ locale, colorScheme: language === 'ko' ? 'dark' : 'light' });
    const service = new Service();
    test.beforeAll(() => service.start());
    test.afterAll(() => service.stop());

    test('a cluster by clicks', async ({ page }) => {
      const said = listen(page);
      const pictured = (what: string) => picture(page, language === 'en' ? what : `${what}-${language}`);
      const healthy = page.locator('[data-health="ok"]');
      const tab = (id: keyof typeof t.cluster.tabs) => page.getByRole('tab', { name: t.cluster.tabs[id] });
      const runPlan = () => page.getByTestId('run-plan').click();

      await test.step('the set-up link makes the first person', async () => {
        await page.goto(await service.setupLink());
        await expect(page.locator('html')).toHaveAttribute('lang', language);
        await expect(page.getByRole('heading', { name: t.setup.title })).toBeVisible();
        await accessible(page, 'set-up');
        await page.getByLabel(t.setup.name, { exact: false }).first().fill('ada');
        await page.getByLabel(t.setup.password).first().fill('short');
        await page.getByRole('button', { name: t.setup.submit }).click();
        await expect(page.getByText(t.setup.tooShort).first()).toBeVisible();
        await page.getByLabel(t.setup.password).first().fill('correct horse battery');
        await page.getByLabel(t.setup.repeat).fill('correct horse battery');
        await pictured('setup');
        await page.getByRole('button', { name: t.setup.submit }).click();
        await expect(page.getByRole('heading', { name: t.fleet.emptyTitle })).toBeVisible();
        await accessible(page, 'empty fleet');
        await pictured('empty');
      });

      await test.step('create', async () => {
        await page.getByRole('main').getByRole('link', { name: t.app.newCluster }).click();
        await page.getByRole('radio', { name: t.create.engines[engine] }).click();
        await page.getByLabel(t.create.memory).fill('384 MiB');
        await page.getByLabel(t.create.disk).fill('2 GiB');
        await page.getByLabel(t.create.name, { exact: false }).first().fill('No Good');
        await expect(page.getByText(t.create.refused)).toBeVisible();
        await page.getByLabel(t.create.name, { exact: false }).first().fill(name);
        const create = page.getByRole('button', { name: t.create.submit });
        await expect(create).toBeEnabled();
        await accessible(page, 'create');
        await page.evaluate(() => window.scrollTo(0, 0));
        await pictured('create');
        await page.getByRole('tab', { name: 'CLI' }).click();
        await expect(page.getByText(`weir cluster create ${name}`)).toBeVisible();
        await page.getByRole('tab', { name: 'API' }).click();
        await expect(page.getByText('/api/v1/clusters')).toBeVisible();
        await create.click();
        await expect(page.getByRole('heading', { name, exact: true })).toBeVisible();
        await expect(healthy).toBeVisible(slow);
        await expect(page.locator('[data-broker][data-state="running"]')).toHaveCount(3);
      });

      await test.step('changes arrive as they happen', async () => {
        await expect(page.locator('[data-live="true"]')).toBeVisible();
      });

      const traffic = await service.traffic(name, 'clicks');

      await test.step('scale out with the slider, after a look at the plan', async () => {
        await expect(page.locator('[data-vital="data"]')).not.toContainText(/^\D*0 B/, slow);
        const slider = page.getByRole('slider', { name: t.brokers.scale });
        for (let i = 0; i < more; i++) await slider.press('ArrowRight');
        await page.getByRole('button', { name: t.brokers.scaleTo(3 + more) }).click();
        const drawer = page.getByRole('dialog');
        await expect(drawer.getByText(t.plan.undo)).toBeVisible();
        await accessible(page, 'plan');
        await pictured('plan');
        await runPlan();
        await expect(page.locator('[data-operation]')).toBeVisible();
        await pictured('scaling');
        await expect(page.locator('[data-operation]')).toHaveCount(0, slow);
        await expect(page.locator('[data-broker][data-state="running"]')).toHaveCount(3 + more);
        await expect(healthy).toBeVisible(slow);
        await accessible(page, 'cluster');
      });

      await test.step('a killed broker is mended, and the journal says why', async () => {
        await page.getByRole('button', { name: t.brokers.actions(2) }).click();
        await page.getByRole('menuitem', { name: t.brokers.drill }).click();
        await expect(page.getByTestId('run-plan')).toBeEnabled();
        await runPlan();
        await tab('healing').click();
        const entry = page.locator('[data-anomaly="dead-broker"]').first();
        await expect(entry).toBeVisible(slow);
        await expect(entry.getByText(t.healing.evidence)).toBeVisible();
        await expect(page.locator('[data-anomaly="dead-broker"][data-ended="true"]').first()).toBeVisible(
          slow,
        );
        await expect(healthy).toBeVisible(slow);
        await page.getByText(t.brokers.broker(1), { exact: true }).click();
        await page.getByRole('button', { name: t.simulate.run }).click();
        await expect(page.getByText(t.simulate.under, { exact: true })).toBeVisible();
        await accessible(page, 'healing');
        await pictured('healing');
      });

      await test.step('a user with the least rights', async () => {
        await tab('connect').click();
        await page.getByRole('button', { name: t.connect.addUser }).click();
        await page.getByLabel(t.connect.userName).fill('app1');
        await page.getByLabel(t.connect.produce).fill('clicks');
        await page.getByTestId('submit-user').click();
        await expect(page.getByText(t.connect.once)).toBeVisible();
        await accessible(page, 'user');
        await page.getByRole('dialog').getByRole('button', { name: t.common.close }).last().click();
        await expect(page.getByRole('button', { name: t.connect.removeUser('app1') })).toBeVisible();
        await accessible(page, 'connect');
        await pictured('connect');
      });

      await test.step('what was done', async () => {
        await tab('operations').click();
        await expect(page.getByRole('link', { name: t.operations.kinds.scale })).toBeVisible();
        await accessible(page, 'operations');
        await page.getByRole('link', { name: t.operations.kinds.scale }).first().click();
        await expect(page.getByText(t.states.SUCCEEDED).first()).toBeVisible();
        await accessible(page, 'operation');
        await pictured('operation');
        await page.goBack();
        await tab('overview').click();
      });

      await test.step('graphs show what the clients do', async () => {
        await expect(page.locator('[data-panel]')).toHaveCount(6);
        for (const id of ['bytes-in', 'bytes-out', 'produce-p99', 'process-cpu', 'process-memory']) {
          const panel = page.locator(`[data-panel="${id}"]`);
          await expect(panel.locator('canvas')).toBeVisible(slow);
          // The latest value of a broker, and a line that is drawn.
          await expect(panel.locator('.weir-number').filter({ hasText: /[1-9]/ }).first()).toBeVisible(slow);
          await expect.poll(() => panel.locator('canvas').evaluate(inked), slow).toBeGreaterThan(300);
        }
        await expect(page.locator('[data-panel="under-replicated"] canvas')).toBeVisible();
        await expect(page.getByText(t.panels.noData)).toHaveCount(0);
        await accessible(page, 'graphs');
        if (process.env.WEIR_SCREENSHOTS) await page.waitForTimeout(lingered);
        await pictured('cluster');
        await page.locator('[data-panel="bytes-in"]').scrollIntoViewIfNeeded();
        await page.locator('#panels').evaluate((e) => e.scrollIntoView());
        await pictured('graphs');
        await page.getByRole('link', { name: t.app.fleet }).first().click();
        await expect(page.locator(`[data-cluster="${name}"]`)).toBeVisible();
        await accessible(page, 'fleet');
        await pictured('fleet');
        await page.getByRole('link', { name: t.app.settings }).click();
        await expect(page.getByText('ada').first()).toBeVisible();
        await accessible(page, 'settings');
        await pictured('settings');
      });

      await test.step('scale in', async () => {
        await page.getByRole('navigation').getByRole('link', { name }).click();
        const slider = page.getByRole('slider', { name: t.brokers.scale });
        for (let i = 0; i < more; i++) await slider.press('ArrowLeft');
        await page.getByRole('button', { name: t.brokers.scaleTo(3) }).click();
        await runPlan();
        await expect(page.locator('[data-operation]')).toBeVisible();
        await expect(page.locator('[data-operation]')).toHaveCount(0, slow);
        await expect(page.locator('[data-broker]')).toHaveCount(3);
        await expect(healthy).toBeVisible(slow);
        // No send and no read has failed in all of this.
        expect(traffic.wrong()).toEqual([]);
        await traffic.end();
      });

      await test.step('delete, by typing its name', async () => {
        await tab('manage').click();
        await expect(page.getByTestId('delete')).toBeDisabled();
        await page.getByLabel(t.manage.deleteConfirm(name)).fill(name);
        await accessible(page, 'manage');
        await page.getByTestId('delete').click();
        await expect(page.getByTestId('run-plan')).toBeEnabled();
        await runPlan();
        await expect(page.locator(`nav a[href="/c/${name}"]`)).toHaveCount(0, slow);
        await page.getByRole('link', { name: t.app.fleet }).first().click();
        await expect(page.getByRole('heading', { name: t.fleet.emptyTitle })).toBeVisible();
      });

      await test.step('sign out and in again', async () => {
        await page.getByRole('button', { name: new RegExp(t.app.account) }).click();
        await page.getByRole('menuitem', { name: t.app.signOut }).click();
        await page.getByLabel(t.login.name).fill('ada');
        await page.getByLabel(t.login.password).first().fill('not the password');
        await page.getByRole('button', { name: t.login.submit }).click();
        await expect(page.getByText(t.login.wrong)).toBeVisible();
        await accessible(page, 'log-in');
        await page.getByLabel(t.login.password).first().fill('correct horse battery');
        await page.getByRole('button', { name: t.login.submit }).click();
        await expect(page.getByRole('heading', { name: t.fleet.emptyTitle })).toBeVisible();
      });

      expect(said).toEqual([]);
    });
  });
}
