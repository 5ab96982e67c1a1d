import { Box, Button, Grid, Stack } from '@mantine/core';
import { useDebouncedValue } from '@mantine/hooks';
import { useNavigate } from '@tanstack/react-router';
import { Plus } from 'lucide-react';
import { useState } from 'react';
import { useEngines, usePlanCreate, useProfiles, useSession } from '@/api/hooks';
import type { EngineInfo, Profile } from '@/api/types';
import { send, useWrite } from '@/api/writes';
import { type Draft, draftOf, requestOf } from '@/features/create/draft';
import { PlanAside } from '@/features/create/PlanAside';
import { ProfileCards } from '@/features/create/ProfileCards';
import { AdvancedSection, EngineSection, NameSection, SizeSection } from '@/features/create/Sections';
import { useSpeech } from '@/lib/i18n';
import { Card } from '@/ui/Card';
import { PageHead } from '@/ui/Page';
import { ErrorNote, ErrorState, Loading, Note } from '@/ui/States';

export function CreatePage() {
  const { t } = useSpeech();
  const engines = useEngines();
  const profiles = useProfiles();
  const failed = engines.error ?? profiles.error;
  return (
    <>
      <PageHead title={t.create.title} subtitle={t.create.subtitle} />
      {failed && (
        <ErrorState
          error={failed}
          onRetry={() => {
            engines.refetch();
            profiles.refetch();
          }}
        />
      )}
      {!failed && (engines.isPending || profiles.isPending) && <Loading rows={3} height={150} />}
      {engines.data && profiles.data && <Form engines={engines.data} profiles={profiles.data} />}
    </>
  );
}

function Form({ engines, profiles }: { engines: EngineInfo[]; profiles: Profile[] }) {
  const { t } = useSpeech();
  const navigate = useNavigate();
  const session = useSession();
  const [draft, set] = useState<Draft>(() => draftOf(profiles, engines));
  const change = (part: Partial<Draft>) => set((d) => ({ ...d, ...part }));
  const [settled] = useDebouncedValue(draft, 300);
  const body = requestOf(settled);
  const plan = usePlanCreate(body);
  const create = useWrite(send.createCluster, {
    onDone: (_, made) => navigate({ to: '/c/$cluster', params: { cluster: made.name } }),
  });
  const refused = plan.error?.fields ?? {};
  const may = session.data?.role === 'admin';
  const engine = engines.find((e) => e.name === draft.engine);
  const ready =
    body !== null &&
    draft === settled &&
    plan.data &&
    !plan.data.plan.impossible &&
    !plan.isError &&
    !plan.isPlaceholderData;

  const submit = () => {
    const wanted = requestOf(draft);
    if (wanted) create.mutate(wanted);
  };

  return (
    <Grid gap="lg" align="flex-start">
      <Grid.Col span={{ base: 12, md: 7 }}>
        <Stack gap="lg" component="form" onSubmit={(e: React.FormEvent) => e.preventDefault()}>
          <Card title={t.create.profile}>
            <ProfileCards
              profiles={profiles}
              value={draft.profile}
              onChange={(p) =>
                set((d) => ({
                  ...draftOf(profiles, engines, p),
                  name: d.name,
                  engine: d.engine,
                  version: d.version,
                  racks: d.racks,
                  settings: d.settings,
                }))
              }
            />
          </Card>
          <NameSection draft={draft} change={change} refused={refused} />
          <EngineSection draft={draft} change={change} refused={refused} engines={engines} />
          <SizeSection
            draft={draft}
            change={change}
            refused={refused}
            maxBrokers={engine?.capabilities.maxBrokers ?? 0}
          />
          <AdvancedSection draft={draft} change={change} refused={refused} />
        </Stack>
      </Grid.Col>
      <Grid.Col span={{ base: 12, md: 5 }}>
        <Box pos={{ md: 'sticky' }} top={{ md: 82 }}>
          <PlanAside body={body} plan={plan}>
            {!may && session.data && (
              <Note tone="warn">{t.errors.forbiddenHelp(t.roles.admin, t.roles[session.data.role])}</Note>
            )}
            <ErrorNote error={create.error} />
            <Button
              fullWidth
              size="md"
              leftSection={<Plus size={18} />}
              disabled={!may || !ready}
              loading={create.isPending}
              onClick={submit}
            >
              {t.create.submit}
            </Button>
          </PlanAside>
        </Box>
      </Grid.Col>
    </Grid>
  );
}
