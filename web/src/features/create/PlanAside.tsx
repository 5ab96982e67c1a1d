import { Stack, Text } from '@mantine/core';
import type { UseQueryResult } from '@tanstack/react-query';
import { ClipboardList } from 'lucide-react';
import type { ReactNode } from 'react';
import type { ApiError } from '@/api/client';
import type { Cluster, CreateRequest, Plan } from '@/api/types';
import { useSpeech } from '@/lib/i18n';
import { createCommand, curl, yaml } from '@/lib/verbs';
import { Card } from '@/ui/Card';
import { Empty, ErrorNote, Loading, Note } from '@/ui/States';
import { Doors } from '../actions/Doors';
import { PlanView } from '../actions/PlanView';

interface Props {
  body: CreateRequest | null;
  plan: UseQueryResult<{ cluster: Cluster; plan: Plan }, ApiError>;
  children: ReactNode;
}

/** The plan of the form beside it, as it is being filled in, and the button that runs it. */
export function PlanAside({ body, plan, children }: Props) {
  const { t } = useSpeech();
  return (
    <Card title={t.create.planTitle} id="plan-title">
      <Stack gap="lg">
        {!body && (
          <Empty icon={ClipboardList} title={t.common.plan}>
            {t.create.waiting}
          </Empty>
        )}
        {body && (
          <Doors
            cli={createCommand(body)}
            api={curl(window.location.origin, 'POST', '/clusters', body)}
            yaml={yaml({ ...body })}
            yamlHint={t.create.fileHint(body.name)}
          >
            <div aria-live="polite">
              {plan.isPending && <Loading rows={3} height={50} />}
              {plan.isError &&
                (Object.keys(plan.error.fields).length ? (
                  <Note tone="bad">{t.create.refused}</Note>
                ) : (
                  <ErrorNote error={plan.error} />
                ))}
              {plan.data && !plan.isError && (
                <div style={{ opacity: plan.isPlaceholderData ? 0.6 : 1 }}>
                  <PlanView plan={plan.data.plan} />
                </div>
              )}
              {plan.isPlaceholderData && (
                <Text fz="xs" c="dimmed" mt="xs">
                  {t.create.planning}
                </Text>
              )}
            </div>
          </Doors>
        )}
        {children}
      </Stack>
    </Card>
  );
}
