import { ActionIcon, Menu, Text } from '@mantine/core';
import { FileText, MoreVertical, Play, RotateCw, Square, Zap } from 'lucide-react';
import type { Kind } from '@/api/types';
import { useSpeech } from '@/lib/i18n';
import { useClusterPage } from './context';
import { seen } from './health';

/** What can be done with one broker. */
export function BrokerMenu({ id, onLog }: { id: number; onLog: () => void }) {
  const { t } = useSpeech();
  const { cluster, propose, mayOperate } = useClusterPage();
  const alive = seen(cluster, id)?.processAlive ?? false;
  const act = (kind: Kind) => () => propose({ kind, broker: id });
  return (
    <Menu position="bottom-end" width={250} withArrow shadow="md">
      <Menu.Target>
        <ActionIcon variant="subtle" color="gray" c="dimmed" aria-label={t.brokers.actions(id)}>
          <MoreVertical size={18} />
        </ActionIcon>
      </Menu.Target>
      <Menu.Dropdown>
        <Menu.Item leftSection={<FileText size={16} />} onClick={onLog}>
          {t.brokers.log}
        </Menu.Item>
        {mayOperate && (
          <>
            <Menu.Divider />
            {alive ? (
              <>
                <Menu.Item leftSection={<RotateCw size={16} />} onClick={act('restart-broker')}>
                  {t.brokers.restart}
                </Menu.Item>
                <Menu.Item leftSection={<Square size={16} />} onClick={act('stop-broker')}>
                  {t.brokers.stop}
                </Menu.Item>
                <Menu.Divider />
                <Menu.Item
                  leftSection={<Zap size={16} />}
                  color="var(--weir-bad)"
                  onClick={act('kill-broker')}
                >
                  {t.brokers.drill}
                  <Text fz="xs" c="dimmed" style={{ whiteSpace: 'normal' }}>
                    {t.brokers.drillHelp}
                  </Text>
                </Menu.Item>
              </>
            ) : (
              <Menu.Item leftSection={<Play size={16} />} onClick={act('start-broker')}>
                {t.brokers.start}
              </Menu.Item>
            )}
          </>
        )}
      </Menu.Dropdown>
    </Menu>
  );
}
