import { Anchor, SegmentedControl, SimpleGrid, Stack, Text, useMantineColorScheme } from '@mantine/core';
import { useSession, useStatus } from '@/api/hooks';
import { PeopleCard } from '@/features/settings/PeopleCard';
import { TokensCard } from '@/features/settings/TokensCard';
import { duration } from '@/lib/format';
import { type Language, useSpeech } from '@/lib/i18n';
import { Card } from '@/ui/Card';
import { PageHead } from '@/ui/Page';

export function SettingsPage() {
  const { t } = useSpeech();
  const session = useSession();
  const admin = session.data?.role === 'admin';
  return (
    <>
      <PageHead title={t.settings.title} />
      <SimpleGrid cols={{ base: 1, md: 2 }} spacing="lg">
        <Stack gap="lg">
          {admin && <PeopleCard me={session.data?.name ?? ''} />}
          <Appearance />
        </Stack>
        <Stack gap="lg">
          {admin && <TokensCard />}
          <About />
        </Stack>
      </SimpleGrid>
    </>
  );
}

function Appearance() {
  const { t, language, setLanguage } = useSpeech();
  const { colorScheme, setColorScheme } = useMantineColorScheme();
  return (
    <Card title={t.settings.appearance} subtitle={t.settings.appearanceHelp}>
      <Stack gap="md">
        <div>
          <Text fz="sm" fw={600} mb={6} id="scheme">
            {t.app.scheme}
          </Text>
          <SegmentedControl
            aria-labelledby="scheme"
            value={colorScheme}
            onChange={(v) => setColorScheme(v as 'light' | 'dark' | 'auto')}
            data={(['auto', 'light', 'dark'] as const).map((value) => ({ value, label: t.app[value] }))}
          />
        </div>
        <div>
          <Text fz="sm" fw={600} mb={6} id="language">
            {t.app.language}
          </Text>
          <SegmentedControl
            aria-labelledby="language"
            value={language}
            onChange={(v) => setLanguage(v as Language)}
            data={[
              { value: 'en', label: 'English' },
              { value: 'ko', label: '한국어' },
            ]}
          />
        </div>
      </Stack>
    </Card>
  );
}

function About() {
  const { t, language } = useSpeech();
  const status = useStatus();
  const s = status.data;
  return (
    <Card title={t.settings.about}>
      <Stack gap={6}>
        <Line label={t.settings.version} value={s?.version ?? '–'} />
        {s?.dir && <Line label={t.settings.directory} value={s.dir} />}
        {s?.uptimeSeconds !== undefined && (
          <Line label={t.settings.uptime} value={duration(s.uptimeSeconds, language)} />
        )}
        <Anchor href="/api/v1/openapi.json" fz="sm" mt="xs">
          {t.settings.apiDescription}
        </Anchor>
      </Stack>
    </Card>
  );
}

function Line({ label, value }: { label: string; value: string }) {
  return (
    <Text fz="sm" style={{ overflowWrap: 'anywhere' }}>
      <Text span c="dimmed" fz="sm">
        {label}:{' '}
      </Text>
      {value}
    </Text>
  );
}
