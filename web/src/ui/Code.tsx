import { ActionIcon, Box, CopyButton, Group, Text, Tooltip } from '@mantine/core';
import { Check, Copy } from 'lucide-react';
import { Fragment, type ReactNode } from 'react';
import { useSpeech } from '@/lib/i18n';

export function CopyIcon({ value, label }: { value: string; label?: string }) {
  const { t } = useSpeech();
  return (
    <CopyButton value={value} timeout={1500}>
      {({ copied, copy }) => (
        <Tooltip label={copied ? t.common.copied : (label ?? t.common.copy)}>
          <ActionIcon
            variant="subtle"
            color="gray"
            c="dimmed"
            onClick={copy}
            aria-label={label ?? t.common.copy}
          >
            {copied ? <Check size={16} /> : <Copy size={16} />}
          </ActionIcon>
        </Tooltip>
      )}
    </CopyButton>
  );
}

/** Text to paste. */
export function CodeBlock({
  code,
  label,
  maxHeight = 420,
  wrap = false,
}: {
  code: string;
  label?: string;
  maxHeight?: number;
  /** Long lines go on below instead of beyond the edge. */
  wrap?: boolean;
}) {
  return (
    <Box
      pos="relative"
      style={{ background: 'var(--weir-sunken)', border: '1px solid var(--weir-line)', borderRadius: 10 }}
    >
      <Box pos="absolute" top={6} right={6} style={{ background: 'var(--weir-sunken)', borderRadius: 8 }}>
        <CopyIcon value={code} />
      </Box>
      <Box
        component="pre"
        m={0}
        p="sm"
        pr={48}
        ff="monospace"
        fz={12.5}
        lh={1.65}
        tabIndex={0}
        role="region"
        aria-label={label}
        style={{
          overflow: 'auto',
          maxHeight,
          whiteSpace: wrap ? 'pre-wrap' : 'pre',
          overflowWrap: 'anywhere',
        }}
      >
        {code}
      </Box>
    </Box>
  );
}

/** Text that breaks after a comma or a slash before it breaks anywhere. */
function pieces(value: string): ReactNode[] {
  return value.split(/(?<=[,/])/).flatMap((piece, i) => {
    // biome-ignore lint/suspicious/noArrayIndexKey: the pieces of one text keep their places
    const part = <Fragment key={i}>{piece}</Fragment>;
    // biome-ignore lint/suspicious/noArrayIndexKey: as above
    return i === 0 ? [part] : [<wbr key={`b${i}`} />, part];
  });
}

/** A named value in one line, with a button that copies it. */
export function CopyLine({ label, value }: { label: string; value: string }) {
  return (
    <div>
      <Text fz="xs" c="dimmed" fw={600} mb={4}>
        {label}
      </Text>
      <Group
        wrap="nowrap"
        gap={4}
        px="sm"
        py={4}
        style={{ background: 'var(--weir-sunken)', border: '1px solid var(--weir-line)', borderRadius: 10 }}
      >
        <Text ff="monospace" fz={12.5} style={{ flex: 1, overflowWrap: 'anywhere' }}>
          {pieces(value)}
        </Text>
        <CopyIcon value={value} />
      </Group>
    </div>
  );
}
